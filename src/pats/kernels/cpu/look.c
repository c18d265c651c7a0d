// A look at torch's tensors, and at the dicts and lists that hold them: is everything what it was, where it was?
// pats.step.look calls it at every step on a device, where Python would take several times as long.
//
// Objects are CPython's. What is known of them comes through pointers: to functions of its stable interface, and to
// torch's own of the DLPack standard, which describes a tensor to C. The caller holds Python's lock, and keeps every
// object alive that it hands over. Where a function that is called fails, Python's error is left for the caller.
#include <stddef.h>

#include "pats.h"

#if defined(__GNUC__)
#define FETCH(address) __builtin_prefetch((const void *)(address))
#else
#define FETCH(address) ((void)(address))
#endif

enum { AHEAD = 8 };  // objects whose memory is fetched before their turn: a step finds little of it in the caches

// DLPack's DLTensor.
typedef struct {
    uint64_t data;
    int32_t device_type, device;
    int32_t ndim;
    uint8_t code, bits;
    uint16_t lanes;
    const int64_t *shape, *strides;
    uint64_t byte_offset;
} dl_tensor;

// What a tensor was: pats.step.look mirrors it field by field.
typedef struct {
    uint64_t data;
    int64_t numel;
    int32_t device_type, device;
    uint8_t code, bits;
    uint16_t lanes;
    int32_t contiguous;
    const char *near;  // an address within the object: a hint for the caches, and never read
} pats_seen;

typedef struct {
    int (*describe)(void *tensor, dl_tensor *out);                               // DLPack; 0 is success
    void *(*attribute)(void *object, void *name);                                // PyObject_GetAttr
    void (*release)(void *object);                                               // Py_DecRef
    int (*next)(void *dict, ptrdiff_t *position, void **key, void **value);      // PyDict_Next
    ptrdiff_t (*length)(void *list);                                             // PyList_Size
    void *(*item)(void *list, ptrdiff_t position);                               // PyList_GetItem
} pats_python;

static pats_python python;

PATS_EXPORT void pats_look_through(const pats_python *functions) { python = *functions; }

PATS_EXPORT int64_t pats_seen_size(void) { return (int64_t)sizeof(pats_seen); }

static int see(void *tensor, pats_seen *seen) {
    dl_tensor now;
    if (python.describe(tensor, &now)) return 0;
    int64_t numel = 1;
    int contiguous = 1;
    for (int32_t i = now.ndim - 1; i >= 0; i--) {
        if (now.shape[i] != 1 && now.strides[i] != numel) contiguous = 0;
        numel *= now.shape[i];
    }
    seen->data = now.data + now.byte_offset;
    seen->numel = numel;
    seen->device_type = now.device_type;
    seen->device = now.device;
    seen->code = now.code;
    seen->bits = now.bits;
    seen->lanes = now.lanes;
    seen->contiguous = contiguous || !numel;
    seen->near = (const char *)now.shape;
    return 1;
}

// Whether two tensors are of one kind, wherever they are on their device.
static int alike(const pats_seen *a, const pats_seen *b) {
    return a->numel == b->numel && a->code == b->code && a->bits == b->bits && a->lanes == b->lanes &&
           a->contiguous == b->contiguous && a->device_type == b->device_type && a->device == b->device;
}

static void fetch(void *const *objects, const pats_seen *seen, int64_t i, int64_t count) {
    if (i + AHEAD >= count) return;
    FETCH(objects[i + AHEAD]);
    for (int line = -1; line <= 1; line++) FETCH((uintptr_t)seen[i + AHEAD].near + (uintptr_t)(64 * line));
}

// Describe tensors.
PATS_EXPORT int pats_see(void *const *tensors, int64_t count, pats_seen *seen) {
    for (int64_t i = 0; i < count; i++)
        if (!see(tensors[i], seen + i)) return 0;
    return 1;
}

// Whether tensors are what they were, where they were.
PATS_EXPORT int pats_same_tensors(void *const *tensors, int64_t count, const pats_seen *seen) {
    for (int64_t i = 0; i < count; i++) {
        pats_seen now;
        fetch(tensors, seen, i, count);
        if (!see(tensors[i], &now) || now.data != seen[i].data || !alike(&now, seen + i)) return 0;
    }
    return 1;
}

// Numbers on the host, in float32 or float64: each plus `more`. 0 where a tensor is not what it was, where it was, or
// one in float32 is not below `limit`.
PATS_EXPORT int pats_numbers(void *const *tensors, int64_t count, const pats_seen *seen, double more, double limit,
                             double *out) {
    if (!pats_same_tensors(tensors, count, seen)) return 0;
    for (int64_t i = 0; i < count; i++) {
        const void *at = (const void *)(uintptr_t)seen[i].data;
        const double number = seen[i].bits == 32 ? *(const float *)at : *(const double *)at;
        if (seen[i].bits == 32 && !(number < limit)) return 0;
        out[i] = number + more;
    }
    return 1;
}

// The addresses of the gradients of parameters, of the first `given` ones. 0 where one is of another kind than it was,
// missing or freed, or has an address with a bit of `low`.
PATS_EXPORT int pats_gradients(void *const *parameters, int64_t count, void *name, void *none, const pats_seen *seen,
                               const int64_t *low, int64_t *addresses, int64_t given) {
    for (int64_t i = 0; i < count; i++) {
        pats_seen now;
        if (i + AHEAD < count) FETCH(parameters[i + AHEAD]);
        void *gradient = python.attribute(parameters[i], name);
        if (!gradient) return 0;
        const int fits = gradient != none && see(gradient, &now) && alike(&now, seen + i) && !now.data == !now.numel;
        python.release(gradient);  // its parameter holds it
        if (!fits || (i < given && (now.data & (uint64_t)low[i]))) return 0;
        if (i < given) addresses[i] = (int64_t)now.data;
    }
    return 1;
}

// Whether dicts hold the objects that they held, in this order.
PATS_EXPORT int pats_same_values(void *const *dicts, int64_t count, void *const *values, int64_t total) {
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        void *value;
        ptrdiff_t position = 0;
        if (i + AHEAD < count) FETCH(dicts[i + AHEAD]);
        while (python.next(dicts[i], &position, NULL, &value))
            if (found == total || values[found++] != value) return 0;
    }
    return found == total;
}

// Whether a list holds the objects that it held.
PATS_EXPORT int pats_same_items(void *list, void *const *items, int64_t count) {
    if (python.length(list) != count) return 0;
    for (int64_t i = 0; i < count; i++)
        if (python.item(list, i) != items[i]) return 0;
    return 1;
}
