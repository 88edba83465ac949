// Levels of the application log, and files that were rotated.

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/base/log.h"
#include "proxy/main/admin/page_handlers.h"

namespace remora::proxy {
namespace {

constexpr char kUsage[] =
    "usage: /logging?<name>=<level> (change single level)\n"
    "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
    "usage: /logging?level=<level> (change all levels)\n"
    "usage: /logging?group=<group_name>:<level> (change group of loggers)\n"
    "levels: trace debug info warning error critical off \n";

using LevelList = std::vector<std::pair<absl::string_view, absl::string_view>>;

// All or none: nothing changes when one of them cannot be.
absl::Status SetLevels(const LevelList& levels) {
  std::vector<std::pair<LogComponent*, LogLevel>> changes;
  for (const auto& [name, text] : levels) {
    LogLevel level;
    if (name.empty() || text.empty())
      return absl::InvalidArgumentError("empty logger name or empty logger level");
    if (!ParseLogLevel(text, &level)) return absl::InvalidArgumentError("unknown logger level");
    LogComponent& component = LogComponent::Find(name);
    if (component.name() != name) return absl::InvalidArgumentError("unknown logger name");
    changes.emplace_back(&component, level);
  }
  for (const auto& [component, level] : changes) component->set_level(level);
  return absl::OkStatus();
}

absl::Status SetAll(absl::string_view text) {
  LogLevel level;
  if (!ParseLogLevel(text, &level)) return absl::InvalidArgumentError("unknown logger level");
  for (LogComponent* component : LogComponent::All()) component->set_level(level);
  return absl::OkStatus();
}

absl::Status Change(const AdminRequest& request) {
  if (request.query.empty()) return absl::OkStatus();
  if (request.query.size() > 1) return absl::InvalidArgumentError("invalid number of parameters");
  const auto& [name, value] = request.query.front();
  if (name == "group") {
    return absl::InvalidArgumentError("group parameter requires fine-grain logging to be enabled");
  }
  if (name == "level") return value.empty() ? absl::OkStatus() : SetAll(value);
  if (name != "paths") return SetLevels({{name, value}});
  LevelList levels;
  for (absl::string_view part : absl::StrSplit(value, ',', absl::SkipEmpty())) {
    levels.push_back(absl::StrSplit(part, absl::MaxSplits(':', 1)));
  }
  return SetLevels(levels);
}

}  // namespace

AdminResponse LoggingPage(AdminPages& /*pages*/, const AdminRequest& request) {
  AdminResponse response;
  const absl::Status status = Change(request);
  if (!status.ok()) {
    response.status = 400;
    response.body = absl::StrCat("error: ", status.message(), "\n\n", kUsage);
  }
  absl::StrAppend(&response.body, "active loggers:\n");
  for (const LogComponent* component : LogComponent::All()) {
    absl::StrAppend(&response.body, "  ", component->name(), ": ", LogLevelName(component->level()),
                    "\n");
  }
  response.body += '\n';
  return response;
}

AdminResponse ReopenLogsPage(AdminPages& pages, const AdminRequest& /*request*/) {
  pages.state().ReopenLogs();
  AdminResponse response;
  response.body = "OK\n";
  return response;
}

}  // namespace remora::proxy
