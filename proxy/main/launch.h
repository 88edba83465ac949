#ifndef REMORA_PROXY_MAIN_LAUNCH_H_
#define REMORA_PROXY_MAIN_LAUNCH_H_

namespace remora::proxy {

// The whole program: returns the exit code. `remora NAME …` runs a command of commands/ instead.
int Launch(int argc, char** argv);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_LAUNCH_H_
