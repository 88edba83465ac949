#include "filters/match_tree.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "xds/core/v3/extension.pb.h"
#include "xds/type/matcher/v3/ip.pb.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace remora {
namespace {

namespace pb = ::xds::type::matcher::v3;

// Deeper nesting than anybody writes; a stack is finite.
constexpr int kMostDepth = 32;

absl::Status Unknown(const ::xds::core::v3::TypedExtensionConfig& proto) {
  return absl::UnimplementedError(absl::StrCat("Didn't find a registered implementation for '",
                                               proto.name(), "' with type URL: '",
                                               proto.typed_config().type_url(), "'"));
}

absl::StatusOr<StringMatcher> ParseString(const pb::StringMatcher& proto) {
  using Kind = StringMatcher::Kind;
  switch (proto.match_pattern_case()) {
    case pb::StringMatcher::kExact:
      return StringMatcher(Kind::kExact, proto.exact(), proto.ignore_case());
    case pb::StringMatcher::kPrefix:
      return StringMatcher(Kind::kPrefix, proto.prefix(), proto.ignore_case());
    case pb::StringMatcher::kSuffix:
      return StringMatcher(Kind::kSuffix, proto.suffix(), proto.ignore_case());
    case pb::StringMatcher::kContains:
      return StringMatcher(Kind::kContains, proto.contains(), proto.ignore_case());
    case pb::StringMatcher::kSafeRegex: {
      absl::StatusOr<Regex> regex = Regex::Compile(proto.safe_regex().regex());
      if (!regex.ok()) return regex.status();
      return StringMatcher(*std::move(regex));
    }
    default:
      return absl::UnimplementedError("this kind of string matcher is not supported");
  }
}

}  // namespace

struct MatchTree::Predicate {
  enum class Kind { kSingle, kOr, kAnd, kNot };

  Kind kind = Kind::kSingle;
  std::optional<MatchInput> input;
  std::optional<StringMatcher> value;
  std::vector<Predicate> parts;

  bool Match(const MatchSubject& subject) const {
    const auto matches = [&](const Predicate& part) { return part.Match(subject); };
    switch (kind) {
      case Kind::kOr:
        return std::any_of(parts.begin(), parts.end(), matches);
      case Kind::kAnd:
        return std::all_of(parts.begin(), parts.end(), matches);
      case Kind::kNot:
        return !parts.front().Match(subject);
      case Kind::kSingle:
        break;
    }
    std::string scratch;
    const std::optional<absl::string_view> text = input->Get(subject, scratch);
    return text.has_value() && value->Match(*text);
  }
};

struct MatchTree::Branch {
  std::optional<size_t> action;
  std::shared_ptr<const Node> nested;
  bool keep_matching = false;
};

struct MatchTree::Node {
  struct Range {
    CidrRange range;
    size_t branch;  // of `by_range`
  };

  // One of the three is there.
  std::vector<std::pair<Predicate, Branch>> list;
  std::map<std::string, Branch, std::less<>> by_value;
  bool by_prefix = false;
  std::vector<Range> ranges;  // longest prefixes first
  std::vector<Branch> by_range;

  std::optional<MatchInput> input;  // of the maps
  std::optional<Branch> otherwise;
};

class MatchTree::Parser {
 public:
  explicit Parser(const ActionParser& parse_action) : parse_action_(parse_action) {}

  absl::StatusOr<std::shared_ptr<const Node>> Parse(const pb::Matcher& proto) {
    if (++depth_ > kMostDepth) return absl::InvalidArgumentError("matchers are nested too deep");
    auto node = std::make_shared<Node>();
    absl::Status status;
    if (proto.has_matcher_list()) {
      status = ParseList(proto.matcher_list(), node.get());
    } else if (proto.has_matcher_tree()) {
      status = ParseMap(proto.matcher_tree(), node.get());
    }
    if (!status.ok()) return status;
    if (proto.has_on_no_match()) {
      absl::StatusOr<Branch> branch = ParseBranch(proto.on_no_match());
      if (!branch.ok()) return branch.status();
      node->otherwise = *std::move(branch);
    }
    --depth_;
    return std::shared_ptr<const Node>(std::move(node));
  }

 private:
  absl::StatusOr<Branch> ParseBranch(const pb::Matcher::OnMatch& proto) {
    Branch out;
    out.keep_matching = proto.keep_matching();
    if (proto.has_matcher()) {
      absl::StatusOr<std::shared_ptr<const Node>> nested = Parse(proto.matcher());
      if (!nested.ok()) return nested.status();
      out.nested = *std::move(nested);
      return out;
    }
    absl::StatusOr<size_t> action = parse_action_(proto.action());
    if (!action.ok()) return action.status();
    out.action = *action;
    return out;
  }

  absl::Status ParseList(const pb::Matcher::MatcherList& proto, Node* node) {
    for (const auto& item : proto.matchers()) {
      absl::StatusOr<Predicate> predicate = ParsePredicate(item.predicate());
      if (!predicate.ok()) return predicate.status();
      absl::StatusOr<Branch> branch = ParseBranch(item.on_match());
      if (!branch.ok()) return branch.status();
      node->list.emplace_back(*std::move(predicate), *std::move(branch));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Predicate> ParsePredicate(const pb::Matcher::MatcherList::Predicate& proto) {
    using Proto = pb::Matcher::MatcherList::Predicate;
    Predicate out;
    switch (proto.match_type_case()) {
      case Proto::kSinglePredicate:
        return ParseSingle(proto.single_predicate());
      case Proto::kOrMatcher:
        return ParseParts(Predicate::Kind::kOr, proto.or_matcher().predicate());
      case Proto::kAndMatcher:
        return ParseParts(Predicate::Kind::kAnd, proto.and_matcher().predicate());
      case Proto::kNotMatcher: {
        absl::StatusOr<Predicate> part = ParsePredicate(proto.not_matcher());
        if (!part.ok()) return part.status();
        out.kind = Predicate::Kind::kNot;
        out.parts.push_back(*std::move(part));
        return out;
      }
      default:
        return absl::InvalidArgumentError("a predicate is missing");
    }
  }

  template <typename List>
  absl::StatusOr<Predicate> ParseParts(Predicate::Kind kind, const List& list) {
    Predicate out;
    out.kind = kind;
    for (const auto& item : list) {
      absl::StatusOr<Predicate> part = ParsePredicate(item);
      if (!part.ok()) return part.status();
      out.parts.push_back(*std::move(part));
    }
    return out;
  }

  absl::StatusOr<Predicate> ParseSingle(
      const pb::Matcher::MatcherList::Predicate::SinglePredicate& proto) {
    Predicate out;
    absl::StatusOr<MatchInput> input = MatchInput::Parse(proto.input());
    if (!input.ok()) return input.status();
    out.input = *std::move(input);
    if (!proto.has_value_match()) return Unknown(proto.custom_match());
    absl::StatusOr<StringMatcher> value = ParseString(proto.value_match());
    if (!value.ok()) return value.status();
    out.value = *std::move(value);
    return out;
  }

  absl::Status ParseMap(const pb::Matcher::MatcherTree& proto, Node* node) {
    absl::StatusOr<MatchInput> input = MatchInput::Parse(proto.input());
    if (!input.ok()) return input.status();
    node->input = *std::move(input);
    if (proto.has_custom_match()) return ParseRanges(proto.custom_match(), node);
    node->by_prefix = proto.has_prefix_match_map();
    const auto& map =
        node->by_prefix ? proto.prefix_match_map().map() : proto.exact_match_map().map();
    for (const auto& [value, on_match] : map) {
      absl::StatusOr<Branch> branch = ParseBranch(on_match);
      if (!branch.ok()) return branch.status();
      node->by_value[value] = *std::move(branch);
    }
    return absl::OkStatus();
  }

  absl::Status ParseRanges(const ::xds::core::v3::TypedExtensionConfig& config, Node* node) {
    pb::IPMatcher proto;
    if (!config.typed_config().UnpackTo(&proto)) return Unknown(config);
    for (const auto& item : proto.range_matchers()) {
      absl::StatusOr<Branch> branch = ParseBranch(item.on_match());
      if (!branch.ok()) return branch.status();
      node->by_range.push_back(*std::move(branch));
      for (const auto& range : item.ranges()) {
        absl::StatusOr<CidrRange> parsed =
            CidrRange::Create(range.address_prefix(), range.prefix_len().value());
        if (!parsed.ok()) return parsed.status();
        node->ranges.push_back({*parsed, node->by_range.size() - 1});
      }
    }
    std::stable_sort(node->ranges.begin(), node->ranges.end(),
                     [](const Node::Range& a, const Node::Range& b) {
                       return a.range.prefix_length() > b.range.prefix_length();
                     });
    return absl::OkStatus();
  }

  const ActionParser& parse_action_;
  int depth_ = 0;
};

absl::StatusOr<MatchTree> MatchTree::Parse(const pb::Matcher& proto,
                                           const ActionParser& parse_action) {
  absl::StatusOr<std::shared_ptr<const Node>> root = Parser(parse_action).Parse(proto);
  if (!root.ok()) return root.status();
  return MatchTree(*std::move(root));
}

std::optional<size_t> MatchTree::Follow(const Branch& branch, const MatchSubject& subject) {
  const std::optional<size_t> found =
      branch.nested != nullptr ? Search(*branch.nested, subject) : branch.action;
  return branch.keep_matching ? std::nullopt : found;
}

std::optional<size_t> MatchTree::Search(const Node& node, const MatchSubject& subject) {
  for (const auto& [predicate, branch] : node.list) {
    if (!predicate.Match(subject)) continue;
    if (const auto found = Follow(branch, subject)) return found;
  }
  if (!node.ranges.empty()) {
    const Address* address = node.input->GetAddress(subject);
    for (const Node::Range& range : node.ranges) {
      if (address == nullptr || !range.range.Contains(*address)) continue;
      if (const auto found = Follow(node.by_range[range.branch], subject)) return found;
    }
  } else if (node.input.has_value()) {
    std::string scratch;
    const std::optional<absl::string_view> text = node.input->Get(subject, scratch);
    // The longest prefix first, the whole value being the longest of all.
    for (size_t size = text ? text->size() : 0; text.has_value(); --size) {
      const auto entry = node.by_value.find(std::string(text->substr(0, size)));
      if (entry != node.by_value.end()) {
        if (const auto found = Follow(entry->second, subject)) return found;
      }
      if (!node.by_prefix || size == 0) break;
    }
  }
  return node.otherwise.has_value() ? Follow(*node.otherwise, subject) : std::nullopt;
}

std::optional<size_t> MatchTree::Match(const MatchSubject& subject) const {
  return Search(*root_, subject);
}

}  // namespace remora
