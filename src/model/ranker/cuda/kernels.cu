/* What cuBLAS does not do. All matrices are row by row; each kernel goes over `count` numbers with as many
 * threads as there are. */

typedef unsigned long long size;

#define EACH(i, count)                                                         \
    for (size i = blockIdx.x * (size)blockDim.x + threadIdx.x; i < (count);    \
         i += (size)gridDim.x * blockDim.x)

/* Rows whose flag is 0 become `null`. */
extern "C" __global__ void nulls(float *out, const unsigned *there, const float *null, size wide,
                                 size count) {
    EACH(i, count) {
        if (!there[i / wide]) out[i] = null[i % wide];
    }
}

/* Puts rows of `wide` numbers, by their number, from column `at` on into rows of `stride`. Rows from `many`
 * on are those of `fresh`. */
extern "C" __global__ void pick(float *out, const float *held, size many, const float *fresh,
                                const unsigned *rows, size wide, size at, size stride, size count) {
    EACH(i, count) {
        size row = rows[i / wide], column = i % wide;
        float number = row < many ? held[row * wide + column] : fresh[(row - many) * wide + column];
        out[i / wide * stride + at + column] = number;
    }
}

/* Puts the products of the columns from `a` and from `b` on into those from `at` on. */
extern "C" __global__ void product(float *out, size a, size b, size at, size wide, size stride,
                                   size count) {
    EACH(i, count) {
        float *row = out + i / wide * stride;
        size column = i % wide;
        row[at + column] = row[a + column] * row[b + column];
    }
}

extern "C" __global__ void relu(float *out, const float *bias, size wide, size count) {
    EACH(i, count) {
        float number = out[i] + bias[i % wide];
        out[i] = number > 0 ? number : 0;
    }
}

/* A cross layer of DCN-v2, given the product with its matrices. */
extern "C" __global__ void cross(float *out, const float *whole, const float *high, const float *bias,
                                 const float *now, size wide, size count) {
    EACH(i, count) {
        out[i] = whole[i] * (high[i] + bias[i % wide]) + now[i];
    }
}
