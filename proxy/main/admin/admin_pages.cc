#include "proxy/main/admin/admin_pages.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/main/admin/histogram_math.h"
#include "proxy/main/admin/page_handlers.h"

namespace remora::proxy {
namespace {

using Kind = AdminParameter::Kind;

constexpr AdminParameter kEnable[] = {
    {"enable", Kind::kChoice, "y starts the profiler, n stops it", "y, n"}};
constexpr AdminParameter kClusters[] = {
    {"filter", Kind::kText, "RE2 expression; clusters whose name holds a match are shown"},
    {"format", Kind::kChoice, "File format to use", "text, json"},
};
constexpr AdminParameter kConfigDump[] = {
    {"resource", Kind::kText, "One list of the dump, for example dynamic_listeners"},
    {"mask", Kind::kText, "FieldMask over the dump, or over each element of the resource list"},
    {"name_regex", Kind::kText, "RE2 expression that the whole name of a resource must match"},
    {"include_eds", Kind::kFlag, "Endpoints as well"},
};
constexpr AdminParameter kDrainListeners[] = {
    {"graceful", Kind::kFlag, "Ask clients to go for the drain time before listeners close"},
    {"skip_exit", Kind::kFlag, "Ask clients to go, and never close listeners"},
    {"inboundonly", Kind::kFlag, "Only listeners with traffic_direction INBOUND"},
};
constexpr AdminParameter kInitDump[] = {
    {"mask", Kind::kText,
     "FieldMask; the component whose unready targets are shown, for example listener"},
};
constexpr AdminParameter kListeners[] = {
    {"format", Kind::kChoice, "File format to use", "text, json"},
};
constexpr AdminParameter kLogging[] = {
    {"paths", Kind::kText, "Several loggers at once: <logger>:<level>,<logger>:<level>"},
    {"level", Kind::kChoice, "The level of every logger",
     ", trace, debug, info, warning, error, critical, off"},
};
constexpr AdminParameter kStats[] = {
    {"usedonly", Kind::kFlag, "Only what was written since the start"},
    {"filter", Kind::kText, "RE2 expression; statistics whose name holds a match are shown"},
    {"invert_filter", Kind::kFlag, "Those without a match instead"},
    {"format", Kind::kChoice, "Format to use", "text, json, html, prometheus"},
    {"type", Kind::kChoice, "Kinds to show", "All, Counters, Histograms, Gauges, TextReadouts"},
    {"histogram_buckets", Kind::kChoice, "How histograms are shown",
     "summary, cumulative, disjoint, detailed"},
};
constexpr AdminParameter kPrometheus[] = {
    {"usedonly", Kind::kFlag, "Only what was written since the start"},
    {"text_readouts", Kind::kFlag, "Text readouts as gauges of value 0"},
    {"filter", Kind::kText, "RE2 expression; statistics whose name holds a match are shown"},
    {"invert_filter", Kind::kFlag, "Those without a match instead"},
    {"histogram_buckets", Kind::kChoice, "Histograms or summaries", "cumulative, summary"},
};

constexpr bool kPost = true;
constexpr bool kGet = false;

constexpr AdminPage kPages[] = {
    {"/", "Admin home page", kGet, HomePage, {}},
    {"/allocprofiler", "enable/disable the allocation profiler (if supported)", kPost,
     AllocationProfilerPage, kEnable},
    {"/certs", "print certs on machine", kGet, CertsPage, {}},
    {"/clusters", "upstream cluster status", kGet, ClustersPage, kClusters},
    {"/config_dump", "dump current Envoy configs", kGet, ConfigDumpPage, kConfigDump},
    {"/contention",
     "dump current Envoy mutex contention stats (if enabled)",
     kGet,
     ContentionPage,
     {}},
    {"/cpuprofiler", "enable/disable the CPU profiler", kPost, CpuProfilerPage, kEnable},
    {"/drain_listeners", "drain listeners", kPost, DrainListenersPage, kDrainListeners},
    {"/healthcheck/fail", "cause the server to fail health checks", kPost, HealthCheckFailPage, {}},
    {"/healthcheck/ok", "cause the server to pass health checks", kPost, HealthCheckOkPage, {}},
    {"/heap_dump", "dump current Envoy heap (if supported)", kGet, HeapDumpPage, {}},
    {"/heapprofiler", "enable/disable the heap profiler", kPost, HeapProfilerPage, kEnable},
    {"/help", "print out list of admin commands", kGet, HelpPage, {}},
    {"/hot_restart_version",
     "print the hot restart compatibility version",
     kGet,
     HotRestartVersionPage,
     {}},
    {"/init_dump", "dump current Envoy init manager information (experimental)", kGet, InitDumpPage,
     kInitDump},
    {"/listeners", "print listener info", kGet, ListenersPage, kListeners},
    {"/logging", "query/change logging levels", kPost, LoggingPage, kLogging},
    {"/memory", "print current allocation/heap usage", kGet, MemoryPage, {}},
    {"/quitquitquit", "exit the server", kPost, QuitPage, {}},
    {"/ready", "print server state, return 200 if LIVE, otherwise return 503", kGet, ReadyPage, {}},
    {"/reopen_logs", "reopen access logs", kPost, ReopenLogsPage, {}},
    {"/reset_counters", "reset all counters to zero", kPost, ResetCountersPage, {}},
    {"/runtime", "print runtime values", kGet, RuntimePage, {}},
    {"/runtime_modify",
     "set runtime values: ?key1=value1&key2=value2; an empty value takes an override back",
     kPost,
     RuntimeModifyPage,
     {}},
    {"/server_info", "print server version/status information", kGet, ServerInfoPage, {}},
    {"/stats", "print server stats", kGet, StatsPage, kStats},
    {"/stats/prometheus", "print server stats in prometheus format", kGet, PrometheusPage,
     kPrometheus},
    {"/stats/recentlookups", "Show recent stat-name lookups", kGet, RecentLookupsPage, {}},
    {"/stats/recentlookups/clear",
     "clear list of stat-name lookups and counter",
     kPost,
     RecentLookupsClearPage,
     {}},
    {"/stats/recentlookups/disable",
     "disable recording of reset stat-name lookup names",
     kPost,
     RecentLookupsDisablePage,
     {}},
    {"/stats/recentlookups/enable",
     "enable recording of reset stat-name lookup names",
     kPost,
     RecentLookupsEnablePage,
     {}},
};

int HexValue(char digit) {
  return absl::ascii_isdigit(digit) ? digit - '0' : absl::ascii_tolower(digit) - 'a' + 10;
}

std::string Decode(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && absl::ascii_isxdigit(text[i + 1]) &&
        absl::ascii_isxdigit(text[i + 2])) {
      out += static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool AllowsPath(const std::vector<StringMatcher>& allowed, absl::string_view path) {
  return allowed.empty() || std::any_of(allowed.begin(), allowed.end(),
                                        [&](const auto& matcher) { return matcher.Match(path); });
}

}  // namespace

const std::string* AdminRequest::Find(absl::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return &value;
  }
  return nullptr;
}

AdminRequest::Parameters AdminRequest::ParseParameters(absl::string_view text) {
  Parameters parameters;
  for (absl::string_view part : absl::StrSplit(text, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    parameters.emplace_back(Decode(pair.first), Decode(pair.second));
  }
  return parameters;
}

AdminRequest AdminRequest::Make(absl::string_view method, absl::string_view target) {
  AdminRequest request;
  request.method = std::string(method);
  target = target.substr(0, target.find('#'));
  const size_t mark = target.find('?');
  request.path = std::string(target.substr(0, mark));
  if (mark != absl::string_view::npos) request.query = ParseParameters(target.substr(mark + 1));
  return request;
}

AdminPages::AdminPages(AdminState* state)
    : state_(state), tags_(state->bootstrap().stats, state->options().stats_tags) {}

absl::Span<const AdminPage> AdminPages::Table() { return kPages; }

AdminResponse AdminPages::Answer(const AdminRequest& request) {
  AdminResponse response;
  if (!AllowsPath(state_->bootstrap().admin.allow_paths, request.path)) {
    response.status = 403;
    response.body = absl::StrCat("request to path ", request.path, " not allowed");
    return response;
  }
  const auto* page = std::find_if(std::begin(kPages), std::end(kPages),
                                  [&](const AdminPage& row) { return row.path == request.path; });
  if (page == std::end(kPages)) {
    response.status = 404;
    response.body = absl::StrCat("invalid path. ", AdminHelp());
    return response;
  }
  if (page->mutates && request.method != "POST") {
    response.status = 405;
    response.body = absl::StrCat("Method ", request.method, " not allowed, POST required.");
    return response;
  }
  return page->answer(*this, request);
}

const IntervalSums& AdminPages::intervals() {
  watched_ = kFlushesUnseen;
  return intervals_;
}

void AdminPages::Flush() {
  const bool since_start = !std::exchange(flushed_, true);
  if (watched_ == 0) {
    intervals_.clear();
    totals_.clear();
    return;
  }
  --watched_;
  const bool first = totals_.empty();
  IntervalSums next;
  StatStore::Visitor visitor;
  visitor.histogram = [&](const std::string& name, const Histogram::Sum& sum) {
    if (sum.count > 0) next[name] = sum;
  };
  state_->stats().Visit(visitor);
  intervals_.clear();
  for (const auto& [name, sum] : next) {
    const auto before = totals_.find(name);
    if (before == totals_.end()) {
      // Counted since nobody knows when, unless everything was seen at the last flush.
      if (!first || since_start) intervals_[name] = sum;
    } else if (sum.count > before->second.count) {
      intervals_[name] = Difference(sum, before->second);
    }
  }
  totals_ = std::move(next);
}

std::string AdminHelp() {
  std::string out = "admin commands are:\n";
  for (const AdminPage& page : kPages) {
    absl::StrAppend(&out, "  ", page.path, page.mutates ? " (POST)" : "", ": ", page.help, "\n");
    for (const AdminParameter& parameter : page.parameters) {
      absl::StrAppend(&out, "      ", parameter.name, ": ", parameter.help);
      if (!parameter.choices.empty()) absl::StrAppend(&out, "; One of (", parameter.choices, ")");
      out += '\n';
    }
  }
  return out;
}

}  // namespace remora::proxy
