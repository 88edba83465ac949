#include "proxy/main/admin/stat_tags.h"

#include <algorithm>
#include <regex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

// A name in its parts. Every extractor looks at the whole name; what any of them takes is left out
// of the rest, even when two take the same.
class Dissection {
 public:
  explicit Dissection(absl::string_view name) : name_(name), taken_(name.size(), false) {
    size_t begin = 0;
    while (begin <= name.size()) {
      const size_t end = std::min(name.find('.', begin), name.size());
      parts_.push_back({begin, end});
      begin = end + 1;
    }
  }

  size_t size() const { return parts_.size(); }
  absl::string_view operator[](size_t index) const {
    return name_.substr(parts_[index].begin, parts_[index].end - parts_[index].begin);
  }
  absl::string_view name() const { return name_; }

  // Parts `first` up to and with `last` become one.
  void Join(size_t first, size_t last) {
    parts_[first].end = parts_[last].end;
    parts_.erase(parts_.begin() + static_cast<long>(first) + 1,
                 parts_.begin() + static_cast<long>(last) + 1);
  }
  // Takes a part with the dot behind it (before it, when it is the last).
  void TakePart(size_t index, absl::string_view tag, TaggedName* out) {
    out->tags.emplace_back(std::string(tag), std::string((*this)[index]));
    const Part& part = parts_[index];
    if (index + 1 < parts_.size()) {
      Mask(part.begin, part.end + 1);
    } else {
      Mask(part.begin - 1, part.end);
    }
  }
  // Takes the end of a part, of which the last `value` characters are the value.
  void TakeEnd(size_t index, size_t characters, size_t value, absl::string_view tag,
               TaggedName* out) {
    const size_t end = parts_[index].end;
    out->tags.emplace_back(std::string(tag), std::string(name_.substr(end - value, value)));
    Mask(end - characters, end);
  }
  void Mask(size_t begin, size_t end) {
    std::fill(taken_.begin() + static_cast<long>(begin), taken_.begin() + static_cast<long>(end),
              true);
  }
  std::string Rest() const {
    std::string rest;
    for (size_t i = 0; i < name_.size(); ++i) {
      if (!taken_[i]) rest += name_[i];
    }
    return rest;
  }

 private:
  struct Part {
    size_t begin;
    size_t end;
  };
  absl::string_view name_;
  std::vector<Part> parts_;
  std::vector<bool> taken_;
};

// "…_rq_200" and "…_rq_2xx".
void TakeResponseCode(Dissection* name, TaggedName* out) {
  const size_t last = name->size() - 1;
  const absl::string_view text = (*name)[last];
  if (text.size() < 7 || !absl::EndsWith(text.substr(0, text.size() - 3), "_rq_")) return;
  const absl::string_view tail = text.substr(text.size() - 3);
  if (std::all_of(tail.begin(), tail.end(), absl::ascii_isdigit)) {
    name->TakeEnd(last, 4, 3, "envoy.response_code", out);
  } else if (absl::ascii_isdigit(tail[0]) && absl::EndsWith(tail, "xx")) {
    const size_t at = name->name().size() - 3;
    out->tags.emplace_back("envoy.response_code_class", std::string(1, tail[0]));
    name->Mask(at, at + 1);
  }
}

// "worker_3" is "worker" with a number.
void TakeWorker(Dissection* name, size_t index, TaggedName* out) {
  if (name->size() <= index + 1 || !absl::StartsWith((*name)[index], "worker_")) return;
  const absl::string_view number = (*name)[index].substr(7);
  if (number.empty() || !std::all_of(number.begin(), number.end(), absl::ascii_isdigit)) return;
  name->TakeEnd(index, number.size() + 1, number.size(), "envoy.worker_id", out);
}

struct WordTag {
  absl::string_view word;
  absl::string_view tag;
};

// "…ssl.ciphers.NAME", "…ssl.certificate.NAME.…": of what follows the `ssl` at `index`.
void TakeTls(Dissection* name, size_t index, TaggedName* out) {
  constexpr WordTag kCounts[] = {{"ciphers", "envoy.ssl_cipher"},
                                 {"curves", "envoy.ssl_curve"},
                                 {"versions", "envoy.ssl_version"}};
  if (name->size() < index + 3 || (*name)[index] != "ssl") return;
  if ((*name)[index + 1] == "certificate" && name->size() > index + 3) {
    name->TakePart(index + 2, "envoy.tls_certificate", out);
    return;
  }
  for (const WordTag& count : kCounts) {
    if ((*name)[index + 1] != count.word) continue;
    // "TLSv1.3" has a dot of its own.
    name->Join(index + 2, name->size() - 1);
    name->TakePart(index + 2, count.tag, out);
    return;
  }
}

// The value part that follows a word: "tcp.PREFIX.…".
bool TakeAfter(Dissection* name, size_t index, absl::Span<const WordTag> words, TaggedName* out) {
  if (name->size() < index + 3) return false;
  for (const WordTag& word : words) {
    if ((*name)[index] != word.word) continue;
    name->TakePart(index + 1, word.tag, out);
    return true;
  }
  return false;
}

// An address in a listener's name holds dots itself ("127.0.0.1_80"): its parts become one.
void JoinListenerAddress(Dissection* name) {
  for (size_t i = 1; i < name->size() && i < 5; ++i) {
    const absl::string_view part = (*name)[i];
    if (part.empty() || !absl::ascii_isdigit(part[0])) return;
    if (part.find('_') != absl::string_view::npos) {
      if (i > 1) name->Join(1, i);
      return;
    }
  }
}

void ExtractCluster(Dissection* name, TaggedName* out) {
  constexpr WordTag kFilters[] = {{"ext_authz", "envoy.ext_authz_prefix"}};
  TakeTls(name, 2, out);
  if (name->size() > 5 && (*name)[2] == "grpc") {
    name->TakePart(4, "envoy.grpc_bridge_method", out);
    name->TakePart(3, "envoy.grpc_bridge_service", out);
  }
  name->TakePart(1, "envoy.cluster_name", out);
  if (name->size() > 4) TakeAfter(name, 2, kFilters, out);
}

void ExtractHttp(Dissection* name, size_t http, TaggedName* out) {
  constexpr WordTag kWords[] = {{"fault", "envoy.fault_downstream_cluster"},
                                {"user_agent", "envoy.http_user_agent"}};
  if (name->size() < http + 3) return;
  if ((*name)[http + 2] == "rds" && name->size() > http + 4) {
    // A name with dots: all but the statistic itself.
    name->Join(http + 3, name->size() - 2);
    name->TakePart(http + 3, "envoy.rds_route_config", out);
  } else if (name->size() > http + 4) {
    TakeAfter(name, http + 2, kWords, out);
  }
  name->TakePart(http + 1, "envoy.http_conn_manager_prefix", out);
}

void ExtractListener(Dissection* name, TaggedName* out) {
  JoinListenerAddress(name);
  TakeWorker(name, 2, out);
  TakeTls(name, 2, out);
  for (size_t i = 2; i + 2 < name->size(); ++i) {
    if ((*name)[i] != "http") continue;
    ExtractHttp(name, i, out);
    break;
  }
  if ((*name)[1] != "admin") name->TakePart(1, "envoy.listener_address", out);
}

void ExtractVirtualHost(Dissection* name, TaggedName* out) {
  if (name->size() > 4 && (*name)[2] == "vcluster") name->TakePart(3, "envoy.virtual_cluster", out);
  name->TakePart(1, "envoy.virtual_host", out);
  if (name->size() > 4 && (*name)[2] == "route") name->TakePart(3, "envoy.route", out);
}

void ExtractOther(Dissection* name, TaggedName* out) {
  constexpr WordTag kFronts[] = {
      {"tcp", "envoy.tcp_prefix"},
      {"udp", "envoy.udp_prefix"},
      {"auth", "envoy.clientssl_prefix"},
      {"ratelimit", "envoy.ratelimit_prefix"},
      {"thrift", "envoy.thrift_prefix"},
      {"redis", "envoy.redis_prefix"},
      {"mongo", "envoy.mongo_prefix"},
      {"local_rate_limit", "envoy.local_network_ratelimit_prefix"},
      {"sds", "envoy.xds_resource_name"},
  };
  if (TakeAfter(name, 0, kFronts, out) || name->size() < 3) return;
  // Filters whose prefix stands in front: "PREFIX.rbac.allowed".
  if ((*name)[1] == "rbac") name->TakePart(0, "envoy.rbac_prefix", out);
  if ((*name)[1] == "http_local_rate_limit")
    name->TakePart(0, "envoy.local_http_ratelimit_prefix", out);
}

void ExtractDefaults(Dissection* name, TaggedName* out) {
  const absl::string_view front = (*name)[0];
  const bool nested = name->size() > 2;
  if (front == "cluster" && nested) {
    ExtractCluster(name, out);
  } else if (front == "http") {
    ExtractHttp(name, 0, out);
  } else if (front == "listener" && nested) {
    ExtractListener(name, out);
  } else if (front == "vhost" && nested) {
    ExtractVirtualHost(name, out);
  } else if (front == "server" || front == "thread_local_cluster_manager") {
    TakeWorker(name, 1, out);
  } else {
    ExtractOther(name, out);
  }
}

}  // namespace

struct TagExtractor::Custom {
  std::string name;
  std::regex regex;
};

TagExtractor::TagExtractor(const xds::StatsConfig& config,
                           std::vector<std::pair<std::string, std::string>> fixed)
    : defaults_(config.use_all_default_tags), fixed_(std::move(fixed)) {
  for (const auto& tag : config.tags) {
    if (!tag.fixed_value.empty()) {
      fixed_.emplace_back(tag.name, tag.fixed_value);
      continue;
    }
    if (tag.regex.empty()) continue;
    // ECMAScript, as Envoy's: some control planes use look-aheads, which RE2 refuses. A regex that
    // does not compile was refused when the bootstrap was parsed.
    try {
      custom_.push_back(
          std::make_unique<Custom>(Custom{tag.name, std::regex(tag.regex, std::regex::optimize)}));
    } catch (const std::regex_error&) {
      continue;
    }
  }
}

TagExtractor::~TagExtractor() = default;

TaggedName TagExtractor::Extract(absl::string_view name) const {
  TaggedName out;
  Dissection dissection(name);
  // In Envoy's order: codes, what is fixed, the other defaults, the configured ones.
  if (defaults_) TakeResponseCode(&dissection, &out);
  const size_t codes = out.tags.size();
  if (defaults_) ExtractDefaults(&dissection, &out);
  // Numbers of workers count as codes do.
  auto at = out.tags.begin() + static_cast<long>(codes);
  if (at != out.tags.end() && at->first == "envoy.worker_id") ++at;
  out.tags.insert(at, fixed_.begin(), fixed_.end());
  for (const auto& custom : custom_) {
    std::cmatch match;
    if (!std::regex_search(name.data(), name.data() + name.size(), match, custom->regex) ||
        match.size() < 2)
      continue;
    const std::string value = match.size() > 2 ? match[2].str() : match[1].str();
    const auto begin = static_cast<size_t>(match.position(1));
    dissection.Mask(begin, begin + static_cast<size_t>(match.length(1)));
    out.tags.emplace_back(custom->name, value);
  }
  out.name = dissection.Rest();
  return out;
}

}  // namespace remora::proxy
