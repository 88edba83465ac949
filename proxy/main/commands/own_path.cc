#include "proxy/main/commands/own_path.h"

#include <unistd.h>

namespace remora::proxy {

std::string OwnPath() {
  std::string path(4096, '\0');
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return path;
}

}  // namespace remora::proxy
