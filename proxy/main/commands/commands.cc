#include "proxy/main/commands/commands.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "proxy/main/commands/own_path.h"

namespace remora::proxy {

Command FindCommand(absl::string_view name) {
  struct Entry {
    absl::string_view name;
    Command run;
  };
  static constexpr Entry kCommands[] = {
      {"control", RunControl},
      {"healthcheck", RunHealthcheck},
      {"exec", RunExec},
  };
  for (const Entry& entry : kCommands) {
    if (entry.name == name) return entry.run;
  }
  return nullptr;
}

int RunControl(absl::Span<char* const> arguments) {
  std::string path = OwnPath() + "-control";
  std::vector<char*> argv = {path.data()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  argv.push_back(nullptr);
  execv(path.c_str(), argv.data());
  std::fprintf(stderr, "error: cannot run %s: %s\n", path.c_str(), strerror(errno));
  return 1;
}

}  // namespace remora::proxy
