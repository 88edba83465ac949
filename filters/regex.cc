#include <re2/re2.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "filters/matchers.h"

namespace remora {
namespace {

std::atomic<uint32_t> program_limit{100};

re2::StringPiece Piece(absl::string_view text) {
  return re2::StringPiece(text.data(), text.size());
}

}  // namespace

void SetRegexProgramLimit(uint32_t limit) { program_limit.store(limit, std::memory_order_relaxed); }

uint32_t RegexProgramLimit() { return program_limit.load(std::memory_order_relaxed); }

absl::StatusOr<Regex> Regex::Compile(absl::string_view pattern, std::optional<uint32_t> limit) {
  auto re = std::make_shared<re2::RE2>(Piece(pattern), re2::RE2::Quiet);
  if (!re->ok()) {
    return absl::InvalidArgumentError(absl::StrCat("bad regex '", pattern, "': ", re->error()));
  }
  const uint32_t most = limit.value_or(RegexProgramLimit());
  const uint32_t size = static_cast<uint32_t>(re->ProgramSize());
  if (size > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("regex '", pattern, "' RE2 program size of ", size, " > max program size of ",
                     most, ". Increase configured max program size if necessary."));
  }
  Regex out;
  out.re_ = std::move(re);
  return out;
}

absl::StatusOr<Regex> Regex::Parse(const envoy::type::matcher::v3::RegexMatcher& proto) {
  std::optional<uint32_t> limit;
  if (proto.google_re2().has_max_program_size()) {
    limit = proto.google_re2().max_program_size().value();
  }
  return Compile(proto.regex(), limit);
}

bool Regex::Match(absl::string_view text) const { return re2::RE2::FullMatch(Piece(text), *re_); }

std::string Regex::ReplaceAll(absl::string_view text, absl::string_view rewrite) const {
  std::string out(text);
  re2::RE2::GlobalReplace(&out, *re_, Piece(rewrite));
  return out;
}

const std::string& Regex::pattern() const { return re_->pattern(); }

absl::StatusOr<RegexSubstitution> RegexSubstitution::Parse(
    const envoy::type::matcher::v3::RegexMatchAndSubstitute& proto) {
  absl::StatusOr<Regex> regex = Regex::Parse(proto.pattern());
  if (!regex.ok()) return regex.status();
  // A substitution that names a group that is not there is one that changes nothing.
  return RegexSubstitution{*std::move(regex), proto.substitution()};
}

}  // namespace remora
