// The bits of a float32.
#ifndef PATS_FLOAT32_H
#define PATS_FLOAT32_H

static inline int32_t bits_of(float value) {
    int32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static inline float float_of(int32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

#endif
