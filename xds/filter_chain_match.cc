#include "xds/filter_chain_match.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "xds/address.h"

namespace remora::xds {
namespace {

// An address' bytes up to a prefix length, the rest zero.
using PrefixKey = std::array<char, 16>;

PrefixKey KeyOf(absl::string_view bytes, uint32_t length) {
  PrefixKey key{};
  for (size_t i = 0; i < bytes.size() && length > 0; ++i) {
    const uint32_t bits = std::min<uint32_t>(length, 8);
    key[i] = static_cast<char>(static_cast<uint8_t>(bytes[i]) & (0xff00 >> bits));
    length -= bits;
  }
  return key;
}

// Children by address prefix; the longest prefix that holds an address wins.
// One hash look-up for each length in use.
template <typename T>
class PrefixMap {
 public:
  T& Any() {
    has_any_ = true;
    return any_;
  }

  T& At(const CidrRange& range) {
    const bool v4 = range.kind() == Address::Kind::kIpv4;
    auto level = std::find_if(levels_.begin(), levels_.end(), [&](const Level& each) {
      return each.v4 == v4 && each.length == range.prefix_length();
    });
    if (level == levels_.end()) {
      level = std::find_if(levels_.begin(), levels_.end(),
                           [&](const Level& each) { return each.length < range.prefix_length(); });
      level = levels_.insert(level, {v4, range.prefix_length(), {}});
    }
    return level->children[KeyOf(range.bytes(), range.prefix_length())];
  }

  bool empty() const { return !has_any_ && levels_.empty(); }

  const T* Find(const Address& address) const {
    if (address.is_ip()) {
      const bool v4 = address.kind() == Address::Kind::kIpv4;
      for (const Level& level : levels_) {  // longest first
        if (level.v4 != v4) continue;
        const auto found = level.children.find(KeyOf(address.ip_bytes(), level.length));
        if (found != level.children.end()) return &found->second;
      }
    }
    return has_any_ ? &any_ : nullptr;
  }

 private:
  struct Level {
    bool v4;
    uint32_t length;
    absl::flat_hash_map<PrefixKey, T> children;
  };
  std::vector<Level> levels_;
  bool has_any_ = false;
  T any_;
};

// Children by text; "" is what matches anything.
template <typename T>
using TextMap = absl::flat_hash_map<std::string, T>;

template <typename T>
const T* FindText(const TextMap<T>& map, absl::string_view text) {
  const auto found = map.find(text);
  return found == map.end() ? nullptr : &found->second;
}

// The steps from the last to the first. Port 0 matches any.
using SourcePorts = absl::flat_hash_map<uint16_t, const FilterChain*>;
using SourceIps = PrefixMap<SourcePorts>;
struct SourceTypes {
  SourceIps any;
  SourceIps local;
  SourceIps external;
};
using DirectSources = PrefixMap<SourceTypes>;
using Protocols = TextMap<DirectSources>;
using Transports = TextMap<Protocols>;
using ServerNames = TextMap<Transports>;
using Destinations = PrefixMap<ServerNames>;
using DestinationPorts = absl::flat_hash_map<uint16_t, Destinations>;

// Calls fn(child) for each child that a list of prefixes names.
template <typename T, typename Fn>
void ForEachPrefix(PrefixMap<T>& map, const std::vector<CidrRange>& ranges, Fn fn) {
  if (ranges.empty()) return fn(map.Any());
  for (const CidrRange& range : ranges) fn(map.At(range));
}

template <typename T, typename Fn>
void ForEachText(TextMap<T>& map, const std::vector<std::string>& texts, Fn fn) {
  if (texts.empty()) return fn(map[""]);
  for (const std::string& text : texts) fn(map[text]);
}

SourceIps& SourcesFor(SourceTypes& types, FilterChainMatchRule::SourceType type) {
  switch (type) {
    case FilterChainMatchRule::SourceType::kSameIpOrLoopback:
      return types.local;
    case FilterChainMatchRule::SourceType::kExternal:
      return types.external;
    case FilterChainMatchRule::SourceType::kAny:
      break;
  }
  return types.any;
}

// Exactly 127.0.0.1 or ::1, the same address on both sides, or a Unix socket.
bool IsLocal(const ConnectionFacts& facts) {
  if (facts.source.kind() == Address::Kind::kPipe) return true;
  if (!facts.source.is_ip()) return false;
  const absl::string_view bytes = facts.source.ip_bytes();
  if (facts.source.kind() == Address::Kind::kIpv4) {
    if (bytes == absl::string_view("\x7f\0\0\x01", 4)) return true;
  } else if (facts.source.is_loopback()) {
    return true;
  }
  return facts.destination.kind() == facts.source.kind() && facts.destination.ip_bytes() == bytes;
}

const FilterChain* MatchSource(const SourceTypes& types, const ConnectionFacts& facts) {
  const SourceIps* chosen = &types.any;
  if (!types.local.empty() || !types.external.empty()) {
    const bool local = IsLocal(facts);
    if (local && !types.local.empty()) chosen = &types.local;
    if (!local && !types.external.empty()) chosen = &types.external;
  }
  const SourcePorts* ports = chosen->Find(facts.source);
  if (ports == nullptr) return nullptr;
  auto found = ports->find(facts.source.port());
  if (found == ports->end()) found = ports->find(0);
  return found == ports->end() ? nullptr : found->second;
}

const DirectSources* MatchProtocol(const Protocols& protocols, const ConnectionFacts& facts) {
  for (const absl::string_view offer : facts.application_protocols) {
    if (const DirectSources* found = FindText(protocols, offer)) return found;
  }
  return FindText(protocols, "");
}

const Transports* MatchServerName(const ServerNames& names, absl::string_view server_name) {
  char lower[256];
  if (!server_name.empty() && server_name.size() < sizeof(lower)) {
    for (size_t i = 0; i < server_name.size(); ++i) {
      lower[i] = absl::ascii_tolower(server_name[i]);
    }
    const absl::string_view name(lower, server_name.size());
    if (const Transports* found = FindText(names, name)) return found;
    for (size_t dot = name.find('.', 1); dot != absl::string_view::npos && dot + 1 < name.size();
         dot = name.find('.', dot + 1)) {
      if (const Transports* found = FindText(names, name.substr(dot))) {
        return found;
      }
    }
  }
  return FindText(names, "");
}

}  // namespace

struct FilterChainMatcher::Node {
  DestinationPorts ports;
};

FilterChainMatcher::FilterChainMatcher() : root_(std::make_unique<Node>()) {}
FilterChainMatcher::~FilterChainMatcher() = default;
FilterChainMatcher::FilterChainMatcher(FilterChainMatcher&&) noexcept = default;
FilterChainMatcher& FilterChainMatcher::operator=(FilterChainMatcher&&) noexcept = default;

absl::Status FilterChainMatcher::Add(const FilterChainMatchRule& rule, const FilterChain* chain) {
  bool clash = false;
  const auto add_ports = [&](SourcePorts& ports) {
    const auto add = [&](uint16_t port) { clash |= !ports.emplace(port, chain).second; };
    if (rule.source_ports.empty()) add(0);
    for (const uint16_t port : rule.source_ports) add(port);
  };
  const auto add_types = [&](SourceTypes& types) {
    ForEachPrefix(SourcesFor(types, rule.source_type), rule.source_ranges, add_ports);
  };
  const auto add_direct = [&](DirectSources& direct) {
    ForEachPrefix(direct, rule.direct_source_ranges, add_types);
  };
  const auto add_transport = [&](Transports& transports) {
    ForEachText(transports[rule.transport_protocol], rule.application_protocols, add_direct);
  };
  const auto add_names = [&](ServerNames& names) {
    ForEachText(names, rule.server_names, add_transport);
  };
  ForEachPrefix(root_->ports[rule.destination_port.value_or(0)], rule.prefix_ranges, add_names);
  if (clash) {
    return absl::InvalidArgumentError(
        "multiple filter chains with overlapping matching rules are defined");
  }
  return absl::OkStatus();
}

const FilterChain* FilterChainMatcher::Match(const ConnectionFacts& facts) const {
  auto port = root_->ports.find(facts.destination.port());
  if (port == root_->ports.end()) port = root_->ports.find(0);
  if (port == root_->ports.end()) return nullptr;
  const ServerNames* names = port->second.Find(facts.destination);
  if (names == nullptr) return nullptr;
  const Transports* transports = MatchServerName(*names, facts.server_name);
  if (transports == nullptr) return nullptr;
  const Protocols* protocols = FindText(
      *transports, facts.transport_protocol.empty() ? "raw_buffer" : facts.transport_protocol);
  if (protocols == nullptr) protocols = FindText(*transports, "");
  if (protocols == nullptr) return nullptr;
  const DirectSources* direct = MatchProtocol(*protocols, facts);
  if (direct == nullptr) return nullptr;
  const SourceTypes* types = direct->Find(facts.direct_source);
  return types == nullptr ? nullptr : MatchSource(*types, facts);
}

FilterChainMatchRule FilterChainMatchRule::Parse(
    const envoy::config::listener::v3::FilterChainMatch& proto, ParseContext& context) {
  using Proto = envoy::config::listener::v3::FilterChainMatch;
  FilterChainMatchRule out;
  if (proto.has_destination_port()) {
    out.destination_port = static_cast<uint16_t>(proto.destination_port().value());
  }
  out.prefix_ranges = ParseCidrRanges("prefix_ranges", proto.prefix_ranges(), context);
  for (int i = 0; i < proto.server_names_size(); ++i) {
    std::string name = absl::AsciiStrToLower(proto.server_names(i));
    if (absl::StartsWith(name, "*.")) name.erase(0, 1);
    if (absl::StrContains(name, "*")) {
      ParseContext::Scope scope(context, "server_names", i);
      context.Error("partial wildcards are not supported in \"server_names\"");
    }
    out.server_names.push_back(std::move(name));
  }
  out.transport_protocol = proto.transport_protocol();
  out.application_protocols.assign(proto.application_protocols().begin(),
                                   proto.application_protocols().end());
  out.direct_source_ranges =
      ParseCidrRanges("direct_source_prefix_ranges", proto.direct_source_prefix_ranges(), context);
  out.source_ranges =
      ParseCidrRanges("source_prefix_ranges", proto.source_prefix_ranges(), context);
  switch (proto.source_type()) {
    case Proto::SAME_IP_OR_LOOPBACK:
      out.source_type = SourceType::kSameIpOrLoopback;
      break;
    case Proto::EXTERNAL:
      out.source_type = SourceType::kExternal;
      break;
    default:
      break;
  }
  for (const uint32_t port : proto.source_ports()) {
    out.source_ports.push_back(static_cast<uint16_t>(port));
  }
  if (!proto.address_suffix().empty() || proto.has_suffix_len()) {
    context.Error("contains unimplemented fields (address_suffix, suffix_len)");
  }
  return out;
}

}  // namespace remora::xds
