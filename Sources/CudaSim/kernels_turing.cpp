// The same kernels as a card of compute capability 7.5 has them.
#define CUSIM_TURING
#include "kernels.cpp"
