// Plain C: whatever the compiler's target has.
#define PATS_ISA pats_isa_baseline
#define PATS_ISA_NAME "baseline"
#include "tile.h"
