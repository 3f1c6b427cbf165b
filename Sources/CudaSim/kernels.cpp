// The kernels' own text, compiled for the simulator; a namespace a file, as each is a module of its
// own on a card.
#pragma clang diagnostic ignored "-Wunknown-pragmas"
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wunused-const-variable"
#pragma clang diagnostic ignored "-Wpass-failed"
#include "cusim.hpp"
#include "../CCUDAKernels/cuda/prelude.cuh"

namespace adapter {
#include "../CCUDAKernels/cuda/adapter.cu"
}
namespace attention {
#include "../CCUDAKernels/cuda/attention.cu"
}
namespace attention_backward {
#include "../CCUDAKernels/cuda/attention_backward.cu"
}
namespace attention_f32 {
#include "../CCUDAKernels/cuda/attention_f32.cu"
}
namespace crossentropy {
#include "../CCUDAKernels/cuda/crossentropy.cu"
}
namespace dropout {
#include "../CCUDAKernels/cuda/dropout.cu"
}
namespace elementwise {
#include "../CCUDAKernels/cuda/elementwise.cu"
}
namespace fewrows {
#include "../CCUDAKernels/cuda/fewrows.cu"
}
namespace nf4 {
#include "../CCUDAKernels/cuda/nf4.cu"
}
namespace optimizer {
#include "../CCUDAKernels/cuda/optimizer.cu"
}
namespace rmsnorm {
#include "../CCUDAKernels/cuda/rmsnorm.cu"
}
namespace rope {
#include "../CCUDAKernels/cuda/rope.cu"
}
namespace rows {
#include "../CCUDAKernels/cuda/rows.cu"
}
namespace swiglu {
#include "../CCUDAKernels/cuda/swiglu.cu"
}
