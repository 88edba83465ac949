#include <cctype>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "xds/config_node.h"

namespace remora::xds {
namespace {

constexpr int kMostDepth = 200;

// A recursive-descent reader that keeps the line for each value.
class JsonReader {
 public:
  JsonReader(absl::string_view text, absl::string_view file) : text_(text), file_(file) {}

  absl::StatusOr<ConfigNode> Read() {
    ConfigNode root;
    absl::Status status = ReadValue(0, &root);
    if (!status.ok()) return status;
    SkipBlanks();
    if (at_ != text_.size()) return Fail("unexpected text after the document");
    return root;
  }

 private:
  absl::Status Fail(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(file_, ":", line_, ": ", what));
  }

  void SkipBlanks() {
    while (at_ < text_.size() && absl::ascii_isspace(text_[at_])) {
      if (text_[at_] == '\n') ++line_;
      ++at_;
    }
  }

  // The next character behind blanks, 0 at the end.
  char Peek() {
    SkipBlanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool Take(char expected) {
    if (Peek() != expected) return false;
    ++at_;
    return true;
  }

  absl::Status ReadValue(int depth, ConfigNode* node) {
    if (depth > kMostDepth) return Fail("nested too deep");
    const char next = Peek();
    node->line = line_;
    if (next == '{') return ReadMap(depth, node);
    if (next == '[') return ReadList(depth, node);
    if (next == '"' || next == '\'') {
      node->kind = ConfigNode::Kind::kString;
      return ReadString(&node->text);
    }
    return ReadWord(node);
  }

  absl::Status ReadMap(int depth, ConfigNode* node) {
    node->kind = ConfigNode::Kind::kMap;
    ++at_;
    while (!Take('}')) {
      std::string key;
      const char next = Peek();
      const int line = line_;
      if (next == '"' || next == '\'') {
        absl::Status status = ReadString(&key);
        if (!status.ok()) return status;
      } else {
        key = std::string(BareWord());
        if (key.empty()) return Fail("expected a key or '}'");
      }
      if (!Take(':')) return Fail(absl::StrCat("expected ':' after ", key));
      auto& member = node->members.emplace_back(std::move(key), ConfigNode());
      absl::Status status = ReadValue(depth + 1, &member.second);
      if (!status.ok()) return status;
      member.second.line = line;
      if (!Take(',') && Peek() != '}') return Fail("expected ',' or '}'");
    }
    return absl::OkStatus();
  }

  absl::Status ReadList(int depth, ConfigNode* node) {
    node->kind = ConfigNode::Kind::kList;
    ++at_;
    while (!Take(']')) {
      absl::Status status = ReadValue(depth + 1, &node->items.emplace_back());
      if (!status.ok()) return status;
      if (!Take(',') && Peek() != ']') return Fail("expected ',' or ']'");
    }
    return absl::OkStatus();
  }

  absl::string_view BareWord() {
    SkipBlanks();
    const size_t begin = at_;
    while (at_ < text_.size() && (absl::ascii_isalnum(text_[at_]) || text_[at_] == '_' ||
                                  text_[at_] == '-' || text_[at_] == '+' || text_[at_] == '.')) {
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

  absl::Status ReadWord(ConfigNode* node) {
    const absl::string_view word = BareWord();
    if (word.empty()) return Fail("expected a value");
    if (word == "null") return absl::OkStatus();
    if (word == "true" || word == "false") {
      node->kind = ConfigNode::Kind::kBool;
      node->boolean = word == "true";
      return absl::OkStatus();
    }
    if (!absl::ascii_isdigit(word[0]) && word[0] != '-' && word != "NaN" && word != "Infinity") {
      return Fail(absl::StrCat("unexpected word ", word));
    }
    node->kind = ConfigNode::Kind::kNumber;
    node->text = std::string(word);
    return absl::OkStatus();
  }

  absl::Status ReadString(std::string* out) {
    const char quote = text_[at_++];
    while (true) {
      if (at_ >= text_.size()) return Fail("a string has no end");
      const char c = text_[at_++];
      if (c == quote) return absl::OkStatus();
      if (c == '\n') ++line_;
      if (c != '\\') {
        out->push_back(c);
        continue;
      }
      if (!ReadEscape(out)) return Fail("bad escape in a string");
    }
  }

  bool ReadEscape(std::string* out) {
    if (at_ >= text_.size()) return false;
    const char c = text_[at_++];
    static constexpr absl::string_view kFrom = "bfnrt\"'\\/";
    static constexpr absl::string_view kTo = "\b\f\n\r\t\"'\\/";
    const size_t known = kFrom.find(c);
    if (known != absl::string_view::npos) {
      out->push_back(kTo[known]);
      return true;
    }
    uint32_t code = 0;
    if (c != 'u' || !ReadHex4(&code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      uint32_t low = 0;
      if (text_.substr(at_, 2) != "\\u") return false;
      at_ += 2;
      if (!ReadHex4(&low) || low < 0xdc00 || low > 0xdfff) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      return false;
    }
    AppendUtf8(code, out);
    return true;
  }

  bool ReadHex4(uint32_t* code) {
    if (text_.size() - at_ < 4) return false;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      if (!absl::ascii_isxdigit(c)) return false;
      *code = *code * 16 + (absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10);
    }
    return true;
  }

  static void AppendUtf8(uint32_t code, std::string* out) {
    const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xc0 | (code >> 6));
    } else {
      if (code < 0x10000) {
        put(0xe0 | (code >> 12));
      } else {
        put(0xf0 | (code >> 18));
        put(0x80 | ((code >> 12) & 0x3f));
      }
      put(0x80 | ((code >> 6) & 0x3f));
    }
    put(0x80 | (code & 0x3f));
  }

  absl::string_view text_;
  absl::string_view file_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

absl::StatusOr<ConfigNode> ReadJson(absl::string_view text, absl::string_view file) {
  return JsonReader(text, file).Read();
}

}  // namespace remora::xds
