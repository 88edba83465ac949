#include "filters/uri_template.h"

#include <re2/re2.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace remora {
namespace {

constexpr absl::string_view kSegment = "[a-zA-Z0-9-._~%!$&'()+,;:@=]+";
constexpr absl::string_view kRest = "[a-zA-Z0-9-._~%!$&'()+,;:@=/]*";
constexpr size_t kMostVariables = 5;
constexpr size_t kMostNameLength = 16;

// Reads a pattern from left to right into a regular expression.
class TemplateCompiler {
 public:
  explicit TemplateCompiler(absl::string_view pattern) : rest_(pattern) {}

  absl::Status Compile() {
    if (rest_.empty() || rest_[0] != '/') return Fail("must begin with '/'");
    while (!rest_.empty()) {
      absl::Status status = Step();
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  const std::string& regex() const { return regex_; }
  std::vector<std::string>& variables() { return variables_; }

 private:
  static absl::Status Fail(absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("URI template ", what));
  }

  absl::Status Step() {
    if (rest_[0] == '{') return Variable();
    if (rest_[0] == '}') return Fail("has a stray '}'");
    if (rest_[0] == '*') return Wildcard();
    regex_ += RE2::QuoteMeta(re2::StringPiece(rest_.data(), 1));
    rest_.remove_prefix(1);
    return absl::OkStatus();
  }

  absl::Status Wildcard() {
    if (saw_rest_) return Fail("has an operator behind '**'");
    if (rest_.substr(0, 2) == "**") {
      saw_rest_ = true;
      rest_.remove_prefix(2);
      absl::StrAppend(&regex_, kRest);
    } else {
      rest_.remove_prefix(1);
      absl::StrAppend(&regex_, kSegment);
    }
    return absl::OkStatus();
  }

  absl::Status Variable() {
    const size_t end = rest_.find('}');
    if (end == absl::string_view::npos) return Fail("has an open '{'");
    absl::string_view inside = rest_.substr(1, end - 1);
    const absl::string_view behind = rest_.substr(end + 1);
    absl::string_view name = inside;
    absl::string_view shape = "*";
    const size_t equals = inside.find('=');
    if (equals != absl::string_view::npos) {
      name = inside.substr(0, equals);
      shape = inside.substr(equals + 1);
    }
    absl::Status status = AddName(name);
    if (!status.ok()) return status;
    if (shape.empty()) return Fail("has a variable without a pattern");
    if (saw_rest_) return Fail("has an operator behind '**'");
    absl::StrAppend(&regex_, "(");
    rest_ = shape;
    while (!rest_.empty()) {
      if (rest_[0] == '{') return Fail("has a variable within a variable");
      status = Step();
      if (!status.ok()) return status;
    }
    absl::StrAppend(&regex_, ")");
    rest_ = behind;
    return absl::OkStatus();
  }

  absl::Status AddName(absl::string_view name) {
    const auto good = [](char c) { return absl::ascii_isalnum(c) || c == '_'; };
    if (name.empty() || name.size() > kMostNameLength || !absl::ascii_isalpha(name[0]) ||
        !std::all_of(name.begin(), name.end(), good)) {
      return Fail(absl::StrCat("has a bad variable name '", name, "'"));
    }
    if (std::find(variables_.begin(), variables_.end(), name) != variables_.end()) {
      return Fail(absl::StrCat("names variable '", name, "' twice"));
    }
    if (variables_.size() == kMostVariables) {
      return Fail("has too many variables");
    }
    variables_.emplace_back(name);
    return absl::OkStatus();
  }

  absl::string_view rest_;
  std::string regex_;
  std::vector<std::string> variables_;
  bool saw_rest_ = false;
};

// "{id}" as "\N": the rewrite in RE2's spelling.
absl::StatusOr<std::string> AsSubstitution(absl::string_view rewrite,
                                           const std::vector<std::string>& variables) {
  std::string out;
  while (!rewrite.empty()) {
    const char c = rewrite[0];
    if (c == '}') {
      return absl::InvalidArgumentError("path rewrite has a stray '}'");
    }
    if (c != '{') {
      if (c == '\\') out.push_back('\\');
      out.push_back(c);
      rewrite.remove_prefix(1);
      continue;
    }
    const size_t end = rewrite.find('}');
    if (end == absl::string_view::npos) {
      return absl::InvalidArgumentError("path rewrite has an open '{'");
    }
    const absl::string_view name = rewrite.substr(1, end - 1);
    const auto found = std::find(variables.begin(), variables.end(), name);
    if (found == variables.end()) {
      return absl::InvalidArgumentError(absl::StrCat("path rewrite uses variable '", name,
                                                     "', which the path template "
                                                     "does not have"));
    }
    absl::StrAppend(&out, "\\", found - variables.begin() + 1);
    rewrite.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace

absl::StatusOr<UriTemplate> UriTemplate::Compile(absl::string_view pattern) {
  TemplateCompiler compiler(pattern);
  absl::Status status = compiler.Compile();
  if (!status.ok()) return status;
  absl::StatusOr<Regex> regex = Regex::Compile(compiler.regex(), UINT32_MAX);
  if (!regex.ok()) return regex.status();
  UriTemplate out;
  out.regex_ = *std::move(regex);
  out.variables_ = std::move(compiler.variables());
  return out;
}

std::string UriTemplate::Rewrite(absl::string_view path, absl::string_view rewrite) const {
  const auto substitution = AsSubstitution(rewrite, variables_);
  if (!substitution.ok() || !Match(path)) return "";
  return regex_.ReplaceAll(path, *substitution);
}

absl::Status UriTemplate::CheckRewrite(absl::string_view rewrite) const {
  return AsSubstitution(rewrite, variables_).status();
}

}  // namespace remora
