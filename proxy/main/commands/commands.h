#ifndef REMORA_PROXY_MAIN_COMMANDS_COMMANDS_H_
#define REMORA_PROXY_MAIN_COMMANDS_COMMANDS_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace remora::proxy {

// A command of `remora`: gets what stands after its name, returns the exit code. argv-like, so that
// the strings may be handed to exec as they are: they live as long as the process.
using Command = int (*)(absl::Span<char* const> arguments);

// Null where there is no command of this name: then the words are flags of the data plane.
Command FindCommand(absl::string_view name);

int RunControl(absl::Span<char* const> arguments);
int RunHealthcheck(absl::Span<char* const> arguments);
int RunExec(absl::Span<char* const> arguments);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_COMMANDS_COMMANDS_H_
