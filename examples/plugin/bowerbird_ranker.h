/* A ranker as a shared library: the C interface, version 1.
 *
 * A plug-in exports one symbol, bowerbird_ranker_entry, which returns a table of functions. The host
 * program chooses the file to load; nothing in a database directory ever does.
 *
 * What a plug-in may rely on:
 *  - Functions of one handle are never called at the same time; they may be called from any thread.
 *  - Every pointer in a batch is valid until rank returns, and what it points to must not be written.
 *  - A table that hold took is valid, all of it, until the next hold returns or close is called.
 *  - Vectors are rows of f32, end to end; the first number of a column is 64-byte aligned.
 * What the host relies on:
 *  - The table of functions and its name stay where they are until the library is unloaded.
 *  - No exception and no longjmp leaves a function; after close no thread of the plug-in runs.
 *  - An error is put into err as text that ends with 0, in at most err_size bytes.
 *
 * Versions: fields are only ever added at the end of bowerbird_batch, bowerbird_table and
 * bowerbird_ranker, and struct_size says how much of one there is. Before reading a field that was added
 * after version 1, compare with struct_size. bowerbird_column lies in arrays and never grows. What cannot
 * be done by adding gets another BOWERBIRD_RANKER_ABI, and both sides refuse a version they do not know.
 */
#ifndef BOWERBIRD_RANKER_H
#define BOWERBIRD_RANKER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BOWERBIRD_RANKER_ABI 1u

/* Vectors of the same space. */
typedef struct bowerbird_column {
    const float *numbers;   /* rows * dim */
    const uint8_t *present; /* rows: 1 where a vector is, 0 where zeros stand for one that is missing */
    uint64_t rows;
    uint32_t dim;
    uint32_t reserved; /* 0 */
} bowerbird_column;

/* The vectors of all items of one version of the database. */
typedef struct bowerbird_table {
    uint32_t struct_size;
    uint32_t column_count;
    uint64_t id; /* another table has another */
    uint64_t rows;
    const bowerbird_column *columns; /* as many as the ranker's features have of the candidate */
} bowerbird_table;

/* Requests, the candidates of each, and their features. Candidates of the first request come first. */
typedef struct bowerbird_batch {
    uint32_t struct_size;
    uint32_t requests;
    uint64_t candidates;
    const uint32_t *starts; /* requests + 1: where the candidates of each begin, and where the last end */
    const uint32_t *tasks;  /* requests: the task's place among those declared */

    const bowerbird_column *context; /* of the request: requests rows each */
    uint32_t context_count;
    uint32_t item_count; /* how many vectors a candidate has */

    const bowerbird_column *items; /* of the candidate: candidates rows each; NULL where there is a table */

    const bowerbird_table *table; /* NULL where there are items */
    const uint32_t *rows; /* candidates: a row of table; from table->rows on, row - table->rows of fresh */
    const bowerbird_column *fresh; /* item_count columns of what the table has not yet */

    const bowerbird_column *history; /* requests * history_places rows, the latest first; may be NULL */
    const uint32_t *lived;           /* requests: how many of the places are filled; NULL with history */

    const float *scalars; /* candidates * scalar_count */
    uint32_t scalar_count;
    uint32_t history_places;

    int (*cancelled)(const void *token); /* not 0 once nobody waits for the scores: return any error */
    const void *token;
} bowerbird_batch;

/* What a plug-in is. */
typedef struct bowerbird_ranker {
    uint32_t struct_size; /* sizeof(bowerbird_ranker) */
    uint32_t abi_version; /* BOWERBIRD_RANKER_ABI */
    const char *name;     /* in traces */

    /* Makes a handle. The text is the host program's, for the plug-in alone to understand.
     * NULL is an error; a plug-in that has no state returns any other pointer. */
    void *(*open)(const char *config, char *err, size_t err_size);

    /* Writes a finite score for each candidate, larger is better. The scores come filled with NaN.
     * 0 if that was done; anything else is an error, and the candidates keep their previous order. */
    int (*rank)(void *handle, const bowerbird_batch *batch, float *scores, char *err, size_t err_size);

    /* Takes a table. 1 if batches shall name its rows from now on; 0 if the plug-in has no use for it;
     * anything else is an error. A batch may still come with another table, of an older or newer
     * version: compare ids, or read what batch->table points to. May be NULL. */
    int (*hold)(void *handle, const bowerbird_table *table, char *err, size_t err_size);

    /* Frees a handle. */
    void (*close)(void *handle);
} bowerbird_ranker;

/* The only symbol. NULL if the plug-in cannot work with a host of this version. */
const bowerbird_ranker *bowerbird_ranker_entry(uint32_t host_abi);

#ifdef __cplusplus
}
#endif

#endif
