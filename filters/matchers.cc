#include "filters/matchers.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/matcher/v3/value.pb.h"
#include "filters/api/headers.h"

namespace remora {
namespace {

// As absl::StrContains, for a lower-case `needle` and text of any case.
bool ContainsIgnoringCase(absl::string_view text, absl::string_view needle) {
  if (needle.size() > text.size()) return false;
  for (size_t i = 0; i + needle.size() <= text.size(); ++i) {
    if (absl::EqualsIgnoreCase(text.substr(i, needle.size()), needle)) {
      return true;
    }
  }
  return false;
}

}  // namespace

StringMatcher::StringMatcher(Kind kind, absl::string_view pattern, bool ignore_case)
    : kind_(kind), ignore_case_(ignore_case), pattern_(pattern) {}

StringMatcher::StringMatcher(Regex regex)
    : kind_(Kind::kRegex), pattern_(regex.pattern()), regex_(std::move(regex)) {}

absl::StatusOr<StringMatcher> StringMatcher::Parse(
    const envoy::type::matcher::v3::StringMatcher& proto) {
  using Proto = envoy::type::matcher::v3::StringMatcher;
  switch (proto.match_pattern_case()) {
    case Proto::kExact:
      return StringMatcher(Kind::kExact, proto.exact(), proto.ignore_case());
    case Proto::kPrefix:
      return StringMatcher(Kind::kPrefix, proto.prefix(), proto.ignore_case());
    case Proto::kSuffix:
      return StringMatcher(Kind::kSuffix, proto.suffix(), proto.ignore_case());
    case Proto::kContains:
      return StringMatcher(Kind::kContains, proto.contains(), proto.ignore_case());
    case Proto::kSafeRegex: {
      if (proto.ignore_case()) {
        return absl::InvalidArgumentError("ignore_case has no effect for safe_regex.");
      }
      absl::StatusOr<Regex> regex = Regex::Parse(proto.safe_regex());
      if (!regex.ok()) return regex.status();
      return StringMatcher(*std::move(regex));
    }
    case Proto::kCustom:
      return absl::UnimplementedError(absl::StrCat(
          "custom string matcher ", proto.custom().typed_config().type_url(), " is not supported"));
    case Proto::MATCH_PATTERN_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("a string matcher needs a pattern");
}

bool StringMatcher::Match(absl::string_view text) const {
  switch (kind_) {
    case Kind::kAny:
      return true;
    case Kind::kExact:
      return ignore_case_ ? absl::EqualsIgnoreCase(text, pattern_) : text == pattern_;
    case Kind::kPrefix:
      return ignore_case_ ? absl::StartsWithIgnoreCase(text, pattern_)
                          : absl::StartsWith(text, pattern_);
    case Kind::kSuffix:
      return ignore_case_ ? absl::EndsWithIgnoreCase(text, pattern_)
                          : absl::EndsWith(text, pattern_);
    case Kind::kContains:
      return ignore_case_ ? ContainsIgnoringCase(text, pattern_)
                          : absl::StrContains(text, pattern_);
    case Kind::kRegex:
      return regex_->Match(text);
  }
  return false;
}

absl::StatusOr<HeaderMatcher> HeaderMatcher::Parse(
    const envoy::config::route::v3::HeaderMatcher& proto) {
  using Proto = envoy::config::route::v3::HeaderMatcher;
  HeaderMatcher out;
  out.name_ = absl::AsciiStrToLower(proto.name());
  if (out.name_ == "host") out.name_ = ":authority";  // where it went when it was read
  out.invert_ = proto.invert_match();
  out.missing_as_empty_ = proto.treat_missing_header_as_empty();
  out.kind_ = Kind::kString;
  absl::StatusOr<StringMatcher> text = StringMatcher();
  switch (proto.header_match_specifier_case()) {
    case Proto::kExactMatch:
      text = StringMatcher(StringMatcher::Kind::kExact, proto.exact_match());
      break;
    case Proto::kPrefixMatch:
      text = StringMatcher(StringMatcher::Kind::kPrefix, proto.prefix_match());
      break;
    case Proto::kSuffixMatch:
      text = StringMatcher(StringMatcher::Kind::kSuffix, proto.suffix_match());
      break;
    case Proto::kContainsMatch:
      text = StringMatcher(StringMatcher::Kind::kContains, proto.contains_match());
      break;
    case Proto::kSafeRegexMatch: {
      absl::StatusOr<Regex> regex = Regex::Parse(proto.safe_regex_match());
      if (!regex.ok()) return regex.status();
      text = StringMatcher(*std::move(regex));
      break;
    }
    case Proto::kStringMatch:
      text = StringMatcher::Parse(proto.string_match());
      break;
    case Proto::kRangeMatch:
      out.kind_ = Kind::kRange;
      out.range_start_ = proto.range_match().start();
      out.range_end_ = proto.range_match().end();
      break;
    case Proto::kPresentMatch:
      out.kind_ = Kind::kPresent;
      out.present_ = proto.present_match();
      break;
    case Proto::HEADER_MATCH_SPECIFIER_NOT_SET:
      out.kind_ = Kind::kPresent;
      break;
  }
  if (!text.ok()) return text.status();
  out.string_ = *std::move(text);
  return out;
}

bool HeaderMatcher::MatchValue(absl::string_view value) const {
  if (kind_ == Kind::kString) return string_.Match(value);
  int64_t number = 0;
  return absl::SimpleAtoi(value, &number) && number >= range_start_ && number < range_end_;
}

bool HeaderMatcher::MatchSingle(std::optional<absl::string_view> value) const {
  if (kind_ == Kind::kPresent) {
    return (value.has_value() == present_) != invert_;
  }
  // What is not there matches nothing, also when inverted.
  if (!value.has_value() && !missing_as_empty_) return false;
  return MatchValue(value.value_or("")) != invert_;
}

bool HeaderMatcher::Match(const Headers& headers) const {
  if (kind_ == Kind::kPresent || name_[0] == ':') return MatchSingle(headers.Get(name_));
  size_t count = 0;
  bool matched = false;
  headers.ForEach([&](const Header& header) {
    if (header.name != name_) return;
    ++count;
    matched = matched || MatchValue(header.value);
  });
  return count == 0 ? MatchSingle(std::nullopt) : matched != invert_;
}

bool MatchAll(const std::vector<HeaderMatcher>& matchers, const Headers& headers) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const HeaderMatcher& m) { return m.Match(headers); });
}

namespace {

using ValueProto = envoy::type::matcher::v3::ValueMatcher;

}  // namespace

absl::StatusOr<ValueMatcher> ValueMatcher::Parse(const ValueProto& proto) {
  ValueMatcher out;
  switch (proto.match_pattern_case()) {
    case ValueProto::kNullMatch:
      out.kind_ = Kind::kNull;
      break;
    case ValueProto::kDoubleMatch:
      if (proto.double_match().has_exact()) {
        out.kind_ = Kind::kDouble;
        out.low_ = proto.double_match().exact();
      } else {
        out.kind_ = Kind::kDoubleRange;
        out.low_ = proto.double_match().range().start();
        out.high_ = proto.double_match().range().end();
      }
      break;
    case ValueProto::kStringMatch: {
      out.kind_ = Kind::kString;
      absl::StatusOr<StringMatcher> text = StringMatcher::Parse(proto.string_match());
      if (!text.ok()) return text.status();
      out.string_ = *std::move(text);
      break;
    }
    case ValueProto::kBoolMatch:
      out.kind_ = Kind::kBool;
      out.expected_ = proto.bool_match();
      break;
    case ValueProto::kPresentMatch:
      out.kind_ = Kind::kPresent;
      out.expected_ = proto.present_match();
      break;
    case ValueProto::kListMatch: {
      out.kind_ = Kind::kListOneOf;
      absl::StatusOr<ValueMatcher> one = Parse(proto.list_match().one_of());
      if (!one.ok()) return one.status();
      out.nested_.push_back(*std::move(one));
      break;
    }
    case ValueProto::kOrMatch:
      out.kind_ = Kind::kOr;
      for (const ValueProto& item : proto.or_match().value_matchers()) {
        absl::StatusOr<ValueMatcher> one = Parse(item);
        if (!one.ok()) return one.status();
        out.nested_.push_back(*std::move(one));
      }
      break;
    case ValueProto::MATCH_PATTERN_NOT_SET:
      return absl::InvalidArgumentError("a value matcher needs a pattern");
  }
  return out;
}

bool ValueMatcher::Match(const MetadataValue* value) const {
  switch (kind_) {
    case Kind::kNull:
      return value != nullptr && value->is_null();
    case Kind::kDouble:
      return value != nullptr && value->number() != nullptr && *value->number() == low_;
    case Kind::kDoubleRange:
      return value != nullptr && value->number() != nullptr && *value->number() >= low_ &&
             *value->number() < high_;
    case Kind::kString:
      return value != nullptr && value->text() != nullptr && string_.Match(*value->text());
    case Kind::kBool:
      return value != nullptr && value->boolean() != nullptr && *value->boolean() == expected_;
    case Kind::kPresent:
      return (value != nullptr) == expected_;
    case Kind::kListOneOf:
      return value != nullptr && value->list() != nullptr &&
             std::any_of(value->list()->begin(), value->list()->end(),
                         [&](const auto& item) { return nested_[0].Match(&item); });
    case Kind::kOr:
      return std::any_of(nested_.begin(), nested_.end(),
                         [&](const auto& one) { return one.Match(value); });
  }
  return false;
}

absl::StatusOr<MetadataMatcher> MetadataMatcher::Parse(
    const envoy::type::matcher::v3::MetadataMatcher& proto) {
  MetadataMatcher out;
  out.space_ = proto.filter();
  for (const auto& segment : proto.path()) out.path_.push_back(segment.key());
  absl::StatusOr<ValueMatcher> value = ValueMatcher::Parse(proto.value());
  if (!value.ok()) return value.status();
  out.value_ = *std::move(value);
  out.invert_ = proto.invert();
  return out;
}

bool MetadataMatcher::Match(const Metadata& metadata) const {
  return value_.Match(metadata.Find(space_, path_)) != invert_;
}

}  // namespace remora
