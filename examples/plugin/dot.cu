/* The ranker of dot.c on a card, in CUDA C++. The vectors of all items are copied to it once, by hold; a
 * batch then sends row numbers, scalars and the requests' vectors.
 *
 *   nvcc -O2 -shared -Xcompiler -fPIC -o libdot.so dot.cu
 */
#include "bowerbird_ranker.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

namespace {

/* Memory on the card that grows. */
struct memory {
    void *at = nullptr;
    size_t room = 0;

    cudaError_t grow(size_t bytes) {
        if (bytes <= room) return cudaSuccess;
        cudaFree(at);
        at = nullptr, room = 0;
        cudaError_t status = cudaMalloc(&at, bytes);
        if (status == cudaSuccess) room = bytes;
        return status;
    }

    cudaError_t put(const void *from, size_t bytes) {
        cudaError_t status = grow(bytes ? bytes : 1);
        return status ? status : cudaMemcpy(at, from, bytes, cudaMemcpyHostToDevice);
    }

    ~memory() { cudaFree(at); }
};

/* A column of vectors on the card. */
struct column {
    memory numbers, present;
    uint64_t rows = 0;
    uint32_t dim = 0;

    cudaError_t put(const bowerbird_column *from) {
        rows = from->rows, dim = from->dim;
        cudaError_t status = numbers.put(from->numbers, rows * dim * sizeof(float));
        return status ? status : present.put(from->present, rows);
    }
};

struct dot {
    std::vector<float> weights;
    memory on_card, scalars, rows, requests, scores;
    column table, fresh, context;
    uint64_t held = 0; /* the id of the table; 0 if there is none */
};

struct vectors {
    const float *numbers;
    const uint8_t *present;
};

/* One thread for each candidate. Rows from `held` on are of `fresh`. */
__global__ void score(uint32_t candidates, uint32_t dim, uint32_t count, const float *weights,
                      const float *scalars, const uint32_t *requests, const uint32_t *rows, uint64_t held,
                      vectors context, vectors table, vectors fresh, float *scores) {
    uint32_t at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= candidates) return;
    float sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += weights[i] * scalars[(size_t)at * count + i];
    if (dim) {
        uint64_t row = rows ? rows[at] : at;
        vectors from = row < held ? table : fresh;
        if (row >= held) row -= held;
        uint32_t request = requests[at];
        if (context.present[request] && from.present[row]) {
            const float *query = context.numbers + (size_t)request * dim;
            const float *vector = from.numbers + row * dim;
            for (uint32_t i = 0; i < dim; i++) sum += query[i] * vector[i];
        }
    }
    scores[at] = sum;
}

vectors of(const column &column) {
    return {static_cast<const float *>(column.numbers.at),
            static_cast<const uint8_t *>(column.present.at)};
}

int failed(cudaError_t status, char *err, size_t err_size) {
    snprintf(err, err_size, "%s", cudaGetErrorString(status));
    return 3;
}

#define TRY(call)                                                \
    do {                                                         \
        cudaError_t status = (call);                             \
        if (status) return failed(status, err, err_size);        \
    } while (0)

void *dot_open(const char *config, char *err, size_t err_size) {
    int cards = 0;
    cudaError_t status = cudaGetDeviceCount(&cards);
    if (status || !cards) {
        snprintf(err, err_size, "no card: %s", cudaGetErrorString(status));
        return nullptr;
    }
    dot *self = new (std::nothrow) dot;
    if (!self) {
        snprintf(err, err_size, "no memory");
        return nullptr;
    }
    for (char *end; self->weights.size() < 256; config = end) {
        float weight = strtof(config, &end);
        if (end == config) break;
        self->weights.push_back(weight);
    }
    while (*config == ' ') config++;
    if (*config) snprintf(err, err_size, "the config has %.40s where a weight should be", config);
    else if ((status = self->on_card.put(self->weights.data(), self->weights.size() * sizeof(float))))
        failed(status, err, err_size);
    else return self;
    delete self;
    return nullptr;
}

int take(dot *self, const bowerbird_table *table, char *err, size_t err_size) {
    self->held = 0;
    if (table->column_count) TRY(self->table.put(table->columns));
    self->held = table->id;
    return 0;
}

int dot_hold(void *handle, const bowerbird_table *table, char *err, size_t err_size) {
    int status = take(static_cast<dot *>(handle), table, err, err_size);
    return status ? status : 1;
}

int dot_rank(void *handle, const bowerbird_batch *batch, float *scores, char *err, size_t err_size) {
    dot *self = static_cast<dot *>(handle);
    uint32_t candidates = (uint32_t)batch->candidates, count = batch->scalar_count;
    if (count != self->weights.size()) {
        snprintf(err, err_size, "the config has %zu weights, the batch %u scalars", self->weights.size(),
                 (unsigned)count);
        return 1;
    }
    if (!candidates) return 0;
    bool vectored = batch->context_count && batch->item_count;
    const uint32_t *rows = nullptr;
    uint64_t held = 0;
    if (vectored) {
        TRY(self->context.put(batch->context));
        if (batch->table) {
            /* Another version than the one that is here: it lies in the host's memory. */
            if (batch->table->id != self->held)
                if (int status = take(self, batch->table, err, err_size)) return status;
            TRY(self->rows.put(batch->rows, candidates * sizeof(uint32_t)));
            rows = static_cast<const uint32_t *>(self->rows.at), held = batch->table->rows;
        }
        TRY(self->fresh.put(batch->table ? batch->fresh : batch->items));
        std::vector<uint32_t> requests(candidates);
        for (uint32_t request = 0; request < batch->requests; request++)
            for (uint32_t at = batch->starts[request]; at < batch->starts[request + 1]; at++)
                requests[at] = request;
        TRY(self->requests.put(requests.data(), candidates * sizeof(uint32_t)));
    }
    TRY(self->scalars.put(batch->scalars, (size_t)candidates * count * sizeof(float)));
    TRY(self->scores.grow(candidates * sizeof(float)));
    score<<<(candidates + 127) / 128, 128>>>(
        candidates, vectored ? batch->context->dim : 0, count, static_cast<const float *>(self->on_card.at),
        static_cast<const float *>(self->scalars.at), static_cast<const uint32_t *>(self->requests.at), rows,
        held, of(self->context), of(self->table), of(self->fresh), static_cast<float *>(self->scores.at));
    TRY(cudaGetLastError());
    TRY(cudaMemcpy(scores, self->scores.at, candidates * sizeof(float), cudaMemcpyDeviceToHost));
    return 0;
}

void dot_close(void *handle) { delete static_cast<dot *>(handle); }

const bowerbird_ranker DOT = {
    sizeof DOT, BOWERBIRD_RANKER_ABI, "dot on cuda", dot_open, dot_rank, dot_hold, dot_close,
};

} // namespace

extern "C" const bowerbird_ranker *bowerbird_ranker_entry(uint32_t host_abi) {
    return host_abi == BOWERBIRD_RANKER_ABI ? &DOT : nullptr;
}
