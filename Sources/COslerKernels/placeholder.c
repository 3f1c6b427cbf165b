#include "COslerKernels.h"
