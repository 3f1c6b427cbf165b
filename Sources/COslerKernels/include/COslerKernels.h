/* The CPU kernels. One file a kernel family and instruction set; see ARCHITECTURE.md. */
#pragma once
