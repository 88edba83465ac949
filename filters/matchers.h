#ifndef REMORA_FILTERS_MATCHERS_H_
#define REMORA_FILTERS_MATCHERS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/address.h"
#include "filters/metadata.h"

namespace envoy::config::route::v3 {
class HeaderMatcher;
}
namespace envoy::type::matcher::v3 {
class MetadataMatcher;
class RegexMatchAndSubstitute;
class RegexMatcher;
class StringMatcher;
class ValueMatcher;
}  // namespace envoy::type::matcher::v3
namespace re2 {
class RE2;
}

namespace remora {

class Headers;

// The largest RE2 program that configuration may ask for (runtime key
// re2.max_program_size.error_level). Set once at start, before any configuration is parsed.
void SetRegexProgramLimit(uint32_t limit);
uint32_t RegexProgramLimit();

// A regular expression in RE2's syntax, refused when its program is over the limit. Copies share
// it.
class Regex {
 public:
  static absl::StatusOr<Regex> Compile(absl::string_view pattern,
                                       std::optional<uint32_t> limit = {});
  static absl::StatusOr<Regex> Parse(const envoy::type::matcher::v3::RegexMatcher& proto);

  // The whole of `text` must match.
  bool Match(absl::string_view text) const;
  // Every match replaced by `rewrite` (\0 to \9 stand for groups).
  std::string ReplaceAll(absl::string_view text, absl::string_view rewrite) const;
  const std::string& pattern() const;

 private:
  std::shared_ptr<const re2::RE2> re_;
};

struct RegexSubstitution {
  Regex regex;
  std::string rewrite;
  static absl::StatusOr<RegexSubstitution> Parse(
      const envoy::type::matcher::v3::RegexMatchAndSubstitute& proto);
  std::string Apply(absl::string_view text) const { return regex.ReplaceAll(text, rewrite); }
};

// A compiled StringMatcher. Match() neither allocates nor locks.
class StringMatcher {
 public:
  enum class Kind { kExact, kPrefix, kSuffix, kContains, kRegex, kAny };

  StringMatcher() = default;  // matches everything
  StringMatcher(Kind kind, absl::string_view pattern, bool ignore_case = false);
  explicit StringMatcher(Regex regex);
  static absl::StatusOr<StringMatcher> Parse(const envoy::type::matcher::v3::StringMatcher& proto);

  bool Match(absl::string_view text) const;
  Kind kind() const { return kind_; }
  const std::string& pattern() const { return pattern_; }
  bool ignore_case() const { return ignore_case_; }

 private:
  Kind kind_ = Kind::kAny;
  bool ignore_case_ = false;
  std::string pattern_;
  std::optional<Regex> regex_;
};

// A compiled HeaderMatcher, with Envoy's rules for absent headers: an inverted value matcher does
// not match them unless treat_missing_header_as_empty is set.
class HeaderMatcher {
 public:
  static absl::StatusOr<HeaderMatcher> Parse(const envoy::config::route::v3::HeaderMatcher& proto);

  // Repeated headers are looked at one by one; one that matches suffices.
  bool Match(const Headers& headers) const;
  const std::string& name() const { return name_; }

 private:
  enum class Kind { kPresent, kString, kRange };
  bool MatchValue(absl::string_view value) const;
  bool MatchSingle(std::optional<absl::string_view> value) const;

  std::string name_;  // lower-case
  Kind kind_ = Kind::kPresent;
  bool invert_ = false;
  bool present_ = true;
  bool missing_as_empty_ = false;
  StringMatcher string_;
  int64_t range_start_ = 0;
  int64_t range_end_ = 0;
};

// All of them; an empty list matches.
bool MatchAll(const std::vector<HeaderMatcher>& matchers, const Headers& headers);

// A predicate on one metadata value.
class ValueMatcher {
 public:
  static absl::StatusOr<ValueMatcher> Parse(const envoy::type::matcher::v3::ValueMatcher& proto);
  // `value` is null when there is none.
  bool Match(const MetadataValue* value) const;

 private:
  enum class Kind { kNull, kDouble, kDoubleRange, kString, kBool, kPresent, kListOneOf, kOr };
  Kind kind_ = Kind::kPresent;
  bool expected_ = true;
  double low_ = 0;
  double high_ = 0;
  StringMatcher string_;
  std::vector<ValueMatcher> nested_;
};

class MetadataMatcher {
 public:
  static absl::StatusOr<MetadataMatcher> Parse(
      const envoy::type::matcher::v3::MetadataMatcher& proto);
  bool Match(const Metadata& metadata) const;

 private:
  std::string space_;
  std::vector<std::string> path_;
  ValueMatcher value_;
  bool invert_ = false;
};

}  // namespace remora

#endif  // REMORA_FILTERS_MATCHERS_H_
