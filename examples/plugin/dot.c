/* A ranker in C: a weighted sum of the scalars, plus the inner product of the request's first vector and
 * the candidate's first. Its config is the weights of the scalars, with spaces between.
 *
 *   cc -O2 -shared -fPIC -o libdot.so dot.c
 */
#include "bowerbird_ranker.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    size_t count;
    float weights[256];
} dot;

static void *dot_open(const char *config, char *err, size_t err_size) {
    dot *self = calloc(1, sizeof *self);
    if (!self) {
        snprintf(err, err_size, "no memory");
        return NULL;
    }
    for (;;) {
        char *end;
        float weight = strtof(config, &end);
        if (end == config) break;
        if (self->count == 256) {
            snprintf(err, err_size, "more than 256 weights");
            free(self);
            return NULL;
        }
        self->weights[self->count++] = weight;
        config = end;
    }
    while (*config == ' ') config++;
    if (*config) {
        snprintf(err, err_size, "the config has %.40s where a weight should be", config);
        free(self);
        return NULL;
    }
    return self;
}

/* The candidate's vector, wherever it is; NULL if it is missing. */
static const float *item(const bowerbird_batch *batch, uint64_t candidate) {
    const bowerbird_column *column = batch->items;
    uint64_t row = candidate;
    if (batch->table) {
        row = batch->rows[candidate];
        column = batch->table->columns;
        if (row >= batch->table->rows) {
            row -= batch->table->rows;
            column = batch->fresh;
        }
    }
    return column->present[row] ? column->numbers + row * column->dim : NULL;
}

static int dot_rank(void *handle, const bowerbird_batch *batch, float *scores, char *err, size_t err_size) {
    const dot *self = handle;
    if (batch->scalar_count != self->count) {
        snprintf(err, err_size, "the config has %zu weights, the batch %u scalars", self->count,
                 (unsigned)batch->scalar_count);
        return 1;
    }
    const bowerbird_column *context = batch->context_count && batch->item_count ? batch->context : NULL;
    for (uint32_t request = 0; request < batch->requests; request++) {
        if (batch->cancelled(batch->token)) {
            snprintf(err, err_size, "cancelled");
            return 2;
        }
        const float *query = context && context->present[request]
                                 ? context->numbers + (size_t)request * context->dim
                                 : NULL;
        for (uint64_t at = batch->starts[request]; at < batch->starts[request + 1]; at++) {
            float score = 0;
            for (size_t i = 0; i < self->count; i++)
                score += self->weights[i] * batch->scalars[at * self->count + i];
            const float *vector = query ? item(batch, at) : NULL;
            if (vector)
                for (uint32_t i = 0; i < context->dim; i++) score += query[i] * vector[i];
            scores[at] = score;
        }
    }
    return 0;
}

/* On this processor a table can be read where it lies: there is nothing to copy, and nothing to keep. */
static int dot_hold(void *handle, const bowerbird_table *table, char *err, size_t err_size) {
    (void)handle, (void)table, (void)err, (void)err_size;
    return 1;
}

static void dot_close(void *handle) { free(handle); }

static const bowerbird_ranker DOT = {
    sizeof DOT, BOWERBIRD_RANKER_ABI, "dot", dot_open, dot_rank, dot_hold, dot_close,
};

const bowerbird_ranker *bowerbird_ranker_entry(uint32_t host_abi) {
    return host_abi == BOWERBIRD_RANKER_ABI ? &DOT : NULL;
}
