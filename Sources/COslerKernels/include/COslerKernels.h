/* The CPU kernels. One file a kernel family and instruction set; see ARCHITECTURE.md. */
#pragma once
#include "Attention.h"
#include "CrossEntropy.h"
#include "Elementwise.h"
#include "GEMM.h"
#include "ISA.h"
#include "Memory.h"
#include "Peak.h"
#include "Pool.h"
