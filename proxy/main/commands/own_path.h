#ifndef REMORA_PROXY_MAIN_COMMANDS_OWN_PATH_H_
#define REMORA_PROXY_MAIN_COMMANDS_OWN_PATH_H_

#include <string>

namespace remora::proxy {

// Where the running executable lies; empty if /proc does not say.
std::string OwnPath();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_COMMANDS_OWN_PATH_H_
