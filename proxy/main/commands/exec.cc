// remora exec: a service and its sidecar as one program, for places that have no pods. The sidecar
// comes first and goes first: the service starts once traffic can flow, and is stopped once the
// sidecar has drained.

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/main/commands/commands.h"
#include "proxy/main/commands/own_path.h"

namespace remora::proxy {
namespace {

constexpr char kHelp[] =
    "remora exec [--wait SECONDS] [FLAGS] -- COMMAND [ARGUMENTS]\n"
    "\n"
    "Starts the data plane with FLAGS (remora --help has them), waits until it is ready, and "
    "starts\n"
    "COMMAND behind it. SIGTERM drains the data plane and then stops COMMAND; a second one stops\n"
    "both at once. Other signals go to COMMAND. Exits with COMMAND's code.\n"
    "\n"
    "  --wait SECONDS         wait so long for the data plane at most (10)\n"
    "  --drain-time-s NUMBER  the data plane's flag; here 5 by default, so that both are gone\n"
    "                         before an orchestrator loses patience\n";

constexpr int kCannotExec = 127;

struct Plan {
  std::vector<std::string> sidecar;  // its flags
  std::vector<std::string> where;    // those that tell healthcheck where the admin server is
  std::vector<std::string> service;
  int wait = 10;
};

bool Names(absl::string_view argument, absl::string_view flag) {
  return argument == flag || absl::StartsWith(argument, absl::StrCat(flag, "="));
}

bool TellsWhere(absl::string_view argument) {
  return Names(argument, "-c") || Names(argument, "--config-path") ||
         Names(argument, "--config-yaml") || Names(argument, "--admin-address-path");
}

// False where the line cannot be understood.
bool ParsePlan(absl::Span<char* const> arguments, Plan& plan) {
  size_t i = 0;
  for (; i < arguments.size() && absl::string_view(arguments[i]) != "--"; ++i) {
    const std::string argument = arguments[i];
    const bool apart = argument.find('=') == std::string::npos && i + 1 < arguments.size();
    if (Names(argument, "--wait")) {
      const std::string value = apart ? arguments[++i] : argument.substr(argument.find('=') + 1);
      if (!absl::SimpleAtoi(value, &plan.wait) || plan.wait < 0) return false;
      continue;
    }
    plan.sidecar.push_back(argument);
    if (!TellsWhere(argument)) continue;
    plan.where.push_back(argument);
    if (!apart) continue;
    plan.sidecar.push_back(arguments[++i]);
    plan.where.push_back(plan.sidecar.back());
  }
  if (i + 1 >= arguments.size()) return false;
  plan.service.assign(arguments.begin() + i + 1, arguments.end());
  const auto drains = [](const std::string& flag) { return Names(flag, "--drain-time-s"); };
  if (std::none_of(plan.sidecar.begin(), plan.sidecar.end(), drains)) {
    plan.sidecar.insert(plan.sidecar.end(), {"--drain-time-s", "5"});
  }
  return true;
}

void Say(absl::string_view what) {
  std::fprintf(stderr, "remora exec: %s\n", std::string(what).c_str());
}

// 128 and the signal for who was killed, as shells have it.
int CodeOf(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// The processes of one container, told of each other by signals alone.
class Household {
 public:
  explicit Household(Plan plan) : plan_(std::move(plan)) {}

  int Run() {
    sigfillset(&signals_);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTTIN, SIGTTOU}) {
      sigdelset(&signals_, fault);
    }
    sigprocmask(SIG_BLOCK, &signals_, &before_);
    const std::string self = OwnPath();
    sidecar_ = Start(self, plan_.sidecar, true);
    if (plan_.wait > 0 && !plan_.where.empty()) {
      std::vector<std::string> question = {"healthcheck", "--wait", absl::StrCat(plan_.wait)};
      question.insert(question.end(), plan_.where.begin(), plan_.where.end());
      check_ = Start(self, question, true);
    } else {
      StartService();
    }
    while (sidecar_ > 0 || service_ > 0 || check_ > 0) {
      const int number = sigwaitinfo(&signals_, nullptr);
      if (number == SIGCHLD) {
        Reap();
      } else if (number == SIGTERM || number == SIGINT) {
        Leave();
      } else if (number > 0 && number != SIGPIPE && service_ > 0) {
        kill(service_, number);
      }
    }
    return code_;
  }

 private:
  // `apart`: a terminal's Ctrl-C is for the service, not for its helpers.
  pid_t Start(const std::string& program, const std::vector<std::string>& arguments, bool apart) {
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& each : arguments) argv.push_back(const_cast<char*>(each.c_str()));
    argv.push_back(nullptr);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid != 0) {
      if (pid < 0) Say(absl::StrCat("cannot fork: ", strerror(errno)));
      return pid;
    }
    if (apart) setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(kCannotExec);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
    execvp(program.c_str(), argv.data());
    Say(absl::StrCat("cannot run ", program, ": ", strerror(errno)));
    _exit(kCannotExec);
  }

  void StartService() {
    const std::vector<std::string> arguments(plan_.service.begin() + 1, plan_.service.end());
    service_ = Start(plan_.service[0], arguments, false);
    if (service_ < 0) OnServiceEnd(1);
  }

  // The orphans of a container's first process are reaped with the rest.
  void Reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid == check_) {
        check_ = 0;
        if (!leaving_ && sidecar_ > 0) StartService();
      } else if (pid == service_) {
        OnServiceEnd(CodeOf(status));
      } else if (pid == sidecar_) {
        OnSidecarEnd(CodeOf(status));
      }
    }
  }

  // Nobody is left to be served: no need to drain.
  void OnServiceEnd(int code) {
    service_ = 0;
    if (!sidecar_failed_) code_ = code;
    leaving_ = true;
    Hurry();
  }

  void OnSidecarEnd(int code) {
    sidecar_ = 0;
    if (!leaving_) {
      Say(absl::StrCat("the sidecar ended with code ", code, ", the service is stopped"));
      sidecar_failed_ = leaving_ = true;
      code_ = code != 0 ? code : 1;
    }
    if (check_ > 0) kill(check_, SIGTERM);
    if (service_ > 0) kill(service_, SIGTERM);
  }

  void Leave() {
    if (std::exchange(leaving_, true)) {
      Hurry();
      if (service_ > 0) kill(service_, SIGTERM);
      return;
    }
    if (check_ > 0) kill(check_, SIGTERM);
    if (sidecar_ > 0) {
      kill(sidecar_, SIGTERM);
    } else if (service_ > 0) {
      kill(service_, SIGTERM);
    }
  }

  // Two signals end a data plane at once; two of one kind might be taken for one.
  void Hurry() {
    if (sidecar_ <= 0) return;
    kill(sidecar_, SIGTERM);
    kill(sidecar_, SIGINT);
  }

  const Plan plan_;
  sigset_t signals_ = {};
  sigset_t before_ = {};
  pid_t sidecar_ = 0;
  pid_t service_ = 0;
  pid_t check_ = 0;
  bool leaving_ = false;
  bool sidecar_failed_ = false;
  int code_ = 0;
};

}  // namespace

int RunExec(absl::Span<char* const> arguments) {
  if (!arguments.empty() &&
      (absl::string_view(arguments[0]) == "-h" || absl::string_view(arguments[0]) == "--help")) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  Plan plan;
  if (!ParsePlan(arguments, plan)) {
    std::fputs(kHelp, stderr);
    return 1;
  }
  return Household(std::move(plan)).Run();
}

}  // namespace remora::proxy
