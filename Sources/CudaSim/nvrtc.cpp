// Stands in for NVRTC where kernels run on the simulator: they are compiled into it already, so a
// program's image is only a few bytes that name it. Knows the architectures of CUDA 13.
#include <cstdio>
#include <cstring>
#include <string>

namespace {
struct Program {
    std::string name, source, image, log;
};
const int architectures[] = {75, 80, 86, 89, 90, 100, 103, 120};
enum { SUCCESS = 0, INVALID_INPUT = 3, INVALID_OPTION = 5, COMPILATION = 6 };

int give(const std::string &text, size_t *bytes)
{
    *bytes = text.size() + 1;
    return SUCCESS;
}
int give(const std::string &text, char *to)
{
    memcpy(to, text.c_str(), text.size() + 1);
    return SUCCESS;
}
} // namespace

extern "C" {
const char *nvrtcGetErrorString(int result)
{
    switch (result) {
    case SUCCESS: return "NVRTC_SUCCESS";
    case INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
    case INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
    case COMPILATION: return "NVRTC_ERROR_COMPILATION";
    default: return "NVRTC_ERROR";
    }
}
int nvrtcVersion(int *major, int *minor)
{
    *major = 13, *minor = 0;
    return SUCCESS;
}
int nvrtcGetNumSupportedArchs(int *count)
{
    *count = sizeof architectures / sizeof *architectures;
    return SUCCESS;
}
int nvrtcGetSupportedArchs(int *list)
{
    memcpy(list, architectures, sizeof architectures);
    return SUCCESS;
}
int nvrtcCreateProgram(
    Program **program, const char *source, const char *name, int headers, const char *const *texts,
    const char *const *names)
{
    if (!source || (headers && (!texts || !names))) return INVALID_INPUT;
    *program = new Program{name ? name : "", source, "", ""};
    return SUCCESS;
}
int nvrtcDestroyProgram(Program **program)
{
    delete *program;
    *program = nullptr;
    return SUCCESS;
}
int nvrtcCompileProgram(Program *program, int count, const char *const *options)
{
    std::string target;
    for (int i = 0; i < count; i++)
        if (!strncmp(options[i], "--gpu-architecture=", 19)) target = options[i] + 19;
    if (target.rfind("sm_", 0) && target.rfind("compute_", 0)) return INVALID_OPTION;
    if (program->source.find("#error") != std::string::npos) {
        program->log = program->name + "(1): error: #error directive";
        return COMPILATION;
    }
    program->image = "CUDASIM " + target + " " + program->name;
    return SUCCESS;
}
int nvrtcGetProgramLogSize(Program *program, size_t *bytes) { return give(program->log, bytes); }
int nvrtcGetProgramLog(Program *program, char *log) { return give(program->log, log); }
int nvrtcGetPTXSize(Program *program, size_t *bytes) { return give(program->image, bytes); }
int nvrtcGetPTX(Program *program, char *to) { return give(program->image, to); }
int nvrtcGetCUBINSize(Program *program, size_t *bytes) { return give(program->image, bytes); }
int nvrtcGetCUBIN(Program *program, char *to) { return give(program->image, to); }
}
