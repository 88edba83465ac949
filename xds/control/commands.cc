#include "xds/control/commands.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "xds/control/bootstrap.h"
#include "xds/control/ca.h"
#include "xds/control/file_source.h"
#include "xds/control/server.h"
#include "xds/control/state_dir.h"
#include "xds/control/tokens.h"

namespace remora::control {
namespace {

constexpr absl::Duration kMinTtl = absl::Seconds(2);

sigset_t LeaveSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// Waits for the signals that mean "leave" in a thread of its own; the second
// one ends the process at once.
class LeaveWatch {
 public:
  // Before any other thread is started: they inherit the mask.
  static void Block() {
    const sigset_t set = LeaveSignals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
  }

  explicit LeaveWatch(Server* server) {
    std::thread([server] {
      const sigset_t set = LeaveSignals();
      int number = 0;
      sigwait(&set, &number);
      spdlog::info("leaving on signal {}", number);
      server->Stop();
      sigwait(&set, &number);
      _exit(1);
    }).detach();
  }
};

std::string TokenPath(const StateDir& state, const std::string& name) {
  return state.PathOf(absl::StrCat("join/", name, ".token"));
}

absl::StatusOr<StateDir> OpenState(const std::string& path) {
  return StateDir::Open(path.empty() ? StateDir::DefaultPath() : path);
}

absl::StatusOr<std::string> ControlAddress(const StateDir& state, const std::string& given) {
  if (!given.empty()) return given;
  absl::StatusOr<std::string> last = state.Read("listen");
  if (!last.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("say where the control plane listens (--control HOST:PORT): none has "
                     "run yet on ",
                     state.path()));
  }
  std::vector<std::string> addresses = absl::StrSplit(*last, '\n', absl::SkipEmpty());
  if (addresses.empty()) {
    return absl::FailedPreconditionError("--control HOST:PORT is needed");
  }
  return addresses[0];
}

// The token of a file, or a new one in the state directory.
absl::StatusOr<std::string> TokenFor(const BootstrapCommand& options, const StateDir& state) {
  if (!options.token_file.empty()) {
    absl::StatusOr<std::string> text = ReadWholeFile(options.token_file);
    if (!text.ok()) return text.status();
    return std::string(absl::StripAsciiWhitespace(*text));
  }
  absl::StatusOr<std::string> text = ReadWholeFile(TokenPath(state, options.name));
  if (absl::IsNotFound(text.status())) {
    absl::StatusOr<std::string> path = WriteToken({options.name, state.path(), ""});
    if (!path.ok()) return path.status();
    text = ReadWholeFile(*path);
  }
  if (!text.ok()) return text.status();
  return std::string(absl::StripAsciiWhitespace(*text));
}

}  // namespace

absl::Status Serve(const ServeOptions& options) {
  absl::Duration ttl;
  if (!absl::ParseDuration(options.ttl, &ttl) || ttl < kMinTtl) {
    return absl::InvalidArgumentError("--ttl must be a duration of 2s or more, like 1h");
  }
  LeaveWatch::Block();
  absl::StatusOr<StateDir> state = OpenState(options.state);
  if (!state.ok()) return state.status();
  auto ca = CertificateAuthority::Open(*state, options.trust_domain);
  if (!ca.ok()) return ca.status();
  auto server = Server::Listen({options.listen, ttl}, *state, ca->get());
  if (!server.ok()) return server.status();
  FileSource source(options.services);
  absl::Status started =
      source.Start([&server](Services services) { (*server)->Publish(std::move(services)); });
  if (!started.ok()) {
    (*server)->Stop();
    (*server)->Run();
    return started;
  }
  LeaveWatch watch(server->get());
  spdlog::info("trust domain {}, state in {}", (*ca)->trust_domain(), state->path());
  spdlog::info("ready on {}", absl::StrJoin((*server)->addresses(), ", "));
  (*server)->Run();
  spdlog::info("gone");
  return absl::OkStatus();
}

absl::StatusOr<std::string> WriteToken(const TokenOptions& options) {
  absl::StatusOr<StateDir> state = OpenState(options.state);
  if (!state.ok()) return state.status();
  absl::StatusOr<std::string> token = Tokens(*state).Create(options.name);
  if (!token.ok()) return token.status();
  const std::string text = absl::StrCat(*token, "\n");
  if (options.out.empty()) {
    absl::Status written = state->Write(absl::StrCat("join/", options.name, ".token"), text);
    if (!written.ok()) return written;
    return TokenPath(*state, options.name);
  }
  absl::Status written = WriteFileAtomically(options.out, text);
  if (!written.ok()) return written;
  return options.out;
}

absl::Status WriteBootstrap(const BootstrapCommand& options) {
  absl::StatusOr<StateDir> state = OpenState(options.state);
  if (!state.ok()) return state.status();
  absl::StatusOr<std::string> control = ControlAddress(*state, options.control);
  if (!control.ok()) return control.status();
  BootstrapOptions bootstrap;
  bootstrap.name = options.name;
  bootstrap.instance = options.instance;
  bootstrap.control = *control;
  bootstrap.admin = options.admin;
  bootstrap.delta = options.delta;
  if (!absl::StartsWith(*control, "unix:")) {
    absl::StatusOr<std::string> token = TokenFor(options, *state);
    if (!token.ok()) return token.status();
    auto ca = CertificateAuthority::Open(*state, "");
    if (!ca.ok()) return ca.status();
    bootstrap.token = *token;
    bootstrap.bundle = (*ca)->bundle();
    bootstrap.control_id = (*ca)->ControlId();
    bootstrap.server_name = (*ca)->ControlName();
  }
  absl::StatusOr<std::string> text = MakeBootstrap(bootstrap);
  if (!text.ok()) return text.status();
  if (options.out.empty() || options.out == "-") {
    fputs(text->c_str(), stdout);
    return absl::OkStatus();
  }
  return WriteFileAtomically(options.out, *text);
}

}  // namespace remora::control
