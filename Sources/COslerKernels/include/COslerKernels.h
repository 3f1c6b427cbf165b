/* The CPU kernels. One file a kernel family and instruction set; see ARCHITECTURE.md. */
#pragma once
#include "GEMM.h"
#include "ISA.h"
#include "Pool.h"
