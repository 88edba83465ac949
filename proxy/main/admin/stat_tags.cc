#include "proxy/main/admin/stat_tags.h"

#include <regex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace remora::proxy {
namespace {

using Parts = std::vector<std::string>;

// Takes the part at `index` out of the name as the value of `tag`.
void Take(Parts* parts, size_t index, absl::string_view tag, TaggedName* out) {
  out->tags.emplace_back(std::string(tag), (*parts)[index]);
  parts->erase(parts->begin() + static_cast<long>(index));
}

// "…_rq_200" and "…_rq_2xx".
void TakeResponseCode(Parts* parts, TaggedName* out) {
  std::string& last = parts->back();
  if (last.size() < 7) return;
  const absl::string_view tail = absl::string_view(last).substr(last.size() - 3);
  if (!absl::EndsWith(last.substr(0, last.size() - 3), "_rq_")) return;
  const bool digits = absl::ascii_isdigit(tail[0]) && absl::ascii_isdigit(tail[1]) && absl::ascii_isdigit(tail[2]);
  if (digits) {
    out->tags.emplace_back("envoy.response_code", std::string(tail));
    last.resize(last.size() - 4);
  } else if (absl::ascii_isdigit(tail[0]) && absl::EndsWith(tail, "xx")) {
    out->tags.emplace_back("envoy.response_code_class", std::string(1, tail[0]));
    last.erase(last.size() - 3, 1);
  }
}

// An address in a listener's name holds dots itself ("127.0.0.1_80"): joins its parts.
void JoinListenerAddress(Parts* parts) {
  size_t end = 1;
  for (size_t i = 1; i < parts->size() && i < 5; ++i) {
    const std::string& part = (*parts)[i];
    const bool tail = part.find('_') != std::string::npos && absl::ascii_isdigit(part[0]);
    if (tail) {
      end = i;
      break;
    }
    if (part.empty() || !absl::ascii_isdigit(part[0])) return;
  }
  if (end == 1) return;
  (*parts)[1] = absl::StrJoin(parts->begin() + 1, parts->begin() + static_cast<long>(end) + 1, ".");
  parts->erase(parts->begin() + 2, parts->begin() + static_cast<long>(end) + 1);
}

// The value part that follows a fixed word at the front: "tcp.PREFIX.…".
struct FrontTag {
  absl::string_view word;
  absl::string_view tag;
};
constexpr FrontTag kFrontTags[] = {
    {"tcp", "envoy.tcp_prefix"},
    {"udp", "envoy.udp_prefix"},
    {"ratelimit", "envoy.ratelimit_prefix"},
    {"ext_authz", "envoy.ext_authz_prefix"},
    {"auth", "envoy.clientssl_prefix"},
    {"thrift", "envoy.thrift_prefix"},
    {"redis", "envoy.redis_prefix"},
    {"mongo", "envoy.mongo_prefix"},
    {"local_rate_limit", "envoy.local_network_ratelimit_prefix"},
};

void TakeHttpPrefix(Parts* parts, size_t http, TaggedName* out) {
  if (parts->size() < http + 3) return;
  Take(parts, http + 1, "envoy.http_conn_manager_prefix", out);
  if (parts->size() > http + 3 && (*parts)[http + 1] == "rds") Take(parts, http + 2, "envoy.rds_route_config", out);
}

void TakeNested(Parts* parts, absl::string_view word, absl::string_view tag, TaggedName* out) {
  for (size_t i = 0; i + 2 < parts->size(); ++i) {
    if ((*parts)[i] == word) {
      Take(parts, i + 1, tag, out);
      return;
    }
  }
}

}  // namespace

struct TagExtractor::Custom {
  std::string name;
  std::regex regex;
};

TagExtractor::TagExtractor(const xds::StatsConfig& config, std::vector<std::pair<std::string, std::string>> fixed)
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
      custom_.push_back(std::make_unique<Custom>(Custom{tag.name, std::regex(tag.regex, std::regex::optimize)}));
    } catch (const std::regex_error&) {
      continue;
    }
  }
}

TagExtractor::~TagExtractor() = default;

void TagExtractor::ExtractDefaults(TaggedName* out) const {
  Parts parts = absl::StrSplit(out->name, '.');
  TakeResponseCode(&parts, out);
  const std::string& front = parts.front();
  if (front == "cluster" && parts.size() > 2) {
    TakeNested(&parts, "grpc", "envoy.grpc_bridge_service", out);
    Take(&parts, 1, "envoy.cluster_name", out);
  } else if (front == "http") {
    TakeHttpPrefix(&parts, 0, out);
    TakeNested(&parts, "http_local_rate_limiter", "envoy.local_http_ratelimit_prefix", out);
  } else if (front == "listener" && parts.size() > 2) {
    JoinListenerAddress(&parts);
    for (size_t i = 1; i + 2 < parts.size(); ++i) {
      if (parts[i] == "http") {
        TakeHttpPrefix(&parts, i, out);
        break;
      }
    }
    TakeNested(&parts, "ciphers", "envoy.ssl_cipher", out);
    if (parts[1] != "admin") {
      Take(&parts, 1, "envoy.listener_address", out);
      if (parts.size() > 2 && absl::StartsWith(parts[1], "worker_")) {
        parts[1].erase(0, 7);
        Take(&parts, 1, "envoy.worker_id", out);
      }
    }
  } else if (front == "vhost" && parts.size() > 2) {
    TakeNested(&parts, "vcluster", "envoy.virtual_cluster", out);
    TakeNested(&parts, "route", "envoy.route", out);
    Take(&parts, 1, "envoy.virtual_host", out);
  } else if (front == "server" && parts.size() > 2 && absl::StartsWith(parts[1], "worker_")) {
    parts[1].erase(0, 7);
    Take(&parts, 1, "envoy.worker_id", out);
  } else {
    for (const FrontTag& tag : kFrontTags) {
      if (front == tag.word && parts.size() > 2) {
        Take(&parts, 1, tag.tag, out);
        break;
      }
    }
  }
  out->name = absl::StrJoin(parts, ".");
}

TaggedName TagExtractor::Extract(absl::string_view name) const {
  TaggedName out{std::string(name), {}};
  for (const auto& custom : custom_) {
    std::smatch match;
    if (!std::regex_search(out.name, match, custom->regex) || match.size() < 2) continue;
    const std::string value = match.size() > 2 ? match[2].str() : match[1].str();
    out.name.erase(match.position(1), match.length(1));
    out.tags.emplace_back(custom->name, value);
  }
  if (defaults_) ExtractDefaults(&out);
  for (const auto& tag : fixed_) out.tags.push_back(tag);
  return out;
}

}  // namespace remora::proxy
