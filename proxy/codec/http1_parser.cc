#include "proxy/codec/http1_parser.h"

#include <cstring>

#include "absl/strings/match.h"
#include "proxy/codec/field_text.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kCodecError = "http1.codec_error";
constexpr absl::string_view kTooLarge = "http1.headers_too_large";

// Lower-case letter for each character of a token, 0 for every other byte.
struct LowerTable {
  constexpr LowerTable() {
    for (int c = 0; c < 256; ++c) {
      const bool digit = c >= '0' && c <= '9';
      const bool lower = c >= 'a' && c <= 'z';
      const bool upper = c >= 'A' && c <= 'Z';
      bool token = digit || lower || upper;
      for (const char* p = "!#$%&'*+-.^_`|~"; *p != 0; ++p) token = token || *p == c;
      map[c] = static_cast<char>(!token ? 0 : upper ? c + 0x20 : c);
    }
  }
  char map[256] = {};
};
constexpr LowerTable kLower;

}  // namespace

void Http1Parser::Start(Headers* headers) {
  phase_ = Phase::kFirstLine;
  finished_ = false;
  headers_ = headers;
  trailers_ = nullptr;
  facts_ = Http1Facts();
  partial_.clear();
  raw_bytes_ = counted_bytes_ = 0;
  fields_ = 0;
  bad_version_ = authority_from_target_ = false;
  hosts_ = transfer_encodings_ = 0;
  transfer_encoding_ = host_ = connection_ = upgrade_ = te_ = {};
}

void Http1Parser::StartTrailers(Headers* trailers) {
  phase_ = Phase::kTrailers;
  finished_ = false;
  trailers_ = trailers;
  partial_.clear();
  raw_bytes_ = counted_bytes_ = 0;
  fields_ = 0;
}

bool Http1Parser::Fail(absl::string_view details, int status, bool overflow) {
  error_ = CodecError{details, status, overflow};
  return false;
}

bool Http1Parser::Count(size_t bytes) {
  counted_bytes_ += bytes;
  return counted_bytes_ <= options_->max_headers_bytes || Fail(kTooLarge, 431, true);
}

Http1Parser::Result Http1Parser::Parse(absl::string_view run, size_t* taken) {
  // Room for the first line's other words, and for ": " and CRLF around each field.
  const size_t limit =
      size_t{options_->max_headers_bytes} + 4 * size_t{options_->max_headers_count} + 1024;
  const char* at = run.data();
  const char* const end = at + run.size();
  const auto give = [&](Result result) {
    *taken = at - run.data();
    return result;
  };
  while (at != end) {
    absl::string_view line;
    if (!partial_.empty() && partial_.back() == '\r') {
      if (*at++ != '\n') return Fail(kCodecError), give(Result::kError);
      ++raw_bytes_;
      line = absl::string_view(partial_.data(), partial_.size() - 1);
    } else {
      const char* stop = FindControl(at, end);
      const size_t place = raw_bytes_ + (stop - at);
      if (place > limit || (place == limit && stop != end)) {
        return Fail(kTooLarge, 431, true), give(Result::kError);
      }
      if (stop != end && *stop != '\r') return Fail(kCodecError), give(Result::kError);
      if (stop == end || stop + 1 == end) {
        partial_.append(at, end);
        raw_bytes_ += end - at;
        at = end;
        break;
      }
      if (stop[1] != '\n') return Fail(kCodecError), give(Result::kError);
      line = absl::string_view(at, stop - at);
      if (!partial_.empty()) line = partial_.append(at, stop);
      raw_bytes_ = place + 2;
      at = stop + 2;
    }
    if (!Line(line)) return give(Result::kError);
    partial_.clear();
    if (finished_) {
      facts_.wire_bytes += raw_bytes_;
      return give(Result::kDone);
    }
  }
  return give(Result::kMore);
}

bool Http1Parser::Line(absl::string_view line) {
  switch (phase_) {
    case Phase::kFirstLine:
      phase_ = Phase::kFields;
      return kind_ == Kind::kRequest ? RequestLine(line) : StatusLine(line);
    case Phase::kFields:
      if (!line.empty()) return Field(line);
      finished_ = true;
      return Finish();
    case Phase::kTrailers:
      if (!line.empty()) return Field(line);
      finished_ = true;
      return true;
  }
  return false;
}

// method SP target SP HTTP/1.1
bool Http1Parser::RequestLine(absl::string_view line) {
  const size_t method_end = line.find(' ');
  if (method_end == absl::string_view::npos) return Fail(kCodecError);
  const absl::string_view method = line.substr(0, method_end);
  absl::string_view known = KnownMethod(method);
  if (known.empty()) {
    if (!options_->allow_custom_methods || method.empty() || !AllOf(method, kTokenChar)) {
      return Fail(kCodecError);
    }
    known = headers_->arena().Copy(method);
  }
  headers_->set_pseudo_static(HeaderId::kMethod, known);
  facts_.connect = known == "CONNECT";
  facts_.head = known == "HEAD";
  const absl::string_view rest = line.substr(method_end + 1);
  const size_t target_end = rest.find(' ');
  const absl::string_view target = rest.substr(0, target_end);
  if (target.empty() || !AllOf(target, kTargetChar)) return Fail(kCodecError);
  if (!Count(target.size())) return false;
  if (target_end == absl::string_view::npos) {
    bad_version_ = true;
  } else {
    const absl::string_view version = rest.substr(target_end + 1);
    const auto digit = [&](size_t i) { return version[i] >= '0' && version[i] <= '9'; };
    if (version.size() != 8 || !absl::StartsWith(version, "HTTP/") || version[6] != '.' ||
        !digit(5) || !digit(7)) {
      return Fail(kCodecError);
    }
    facts_.http10 = version == "HTTP/1.0";
    bad_version_ = facts_.http10 ? !options_->accept_http_10 : version != "HTTP/1.1";
  }
  // A version that is refused is refused for that, whatever its target may be.
  return bad_version_ || Target(target);
}

// HTTP/1.1 SP 3DIGIT [SP reason]
bool Http1Parser::StatusLine(absl::string_view line) {
  if (line.size() < 12 || !absl::StartsWith(line, "HTTP/1.") || line[8] != ' ' ||
      (line[7] != '0' && line[7] != '1') || (line.size() > 12 && line[12] != ' ')) {
    return Fail(kCodecError);
  }
  facts_.http10 = line[7] == '0';
  int status = 0;
  for (const char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return Fail(kCodecError);
    status = status * 10 + (c - '0');
  }
  if (status < 100 || status > 599) return Fail(kCodecError);
  facts_.status = status;
  headers_->set_status(status);
  return true;
}

bool Http1Parser::Target(absl::string_view target) {
  const absl::string_view method = headers_->method();
  if (facts_.connect) {
    // Authority form with a port.
    const size_t colon = target.rfind(':');
    if (!IsValidHost(target) || colon == absl::string_view::npos || colon + 1 == target.size() ||
        target.back() == ']') {
      return Fail("http1.invalid_url");
    }
    headers_->set_pseudo(HeaderId::kAuthority, target);
    authority_from_target_ = true;
    return true;
  }
  if (target.front() == '/' || !options_->allow_absolute_url) {
    headers_->set_pseudo(HeaderId::kPath, target);
    return true;
  }
  if (target == "*") {
    if (method != "OPTIONS") return Fail("http1.invalid_url");
    headers_->set_pseudo_static(HeaderId::kPath, "*");
    return true;
  }
  return AbsoluteTarget(target);
}

// The authority of an absolute target takes the place of Host (RFC 9112 section 3.2.2).
bool Http1Parser::AbsoluteTarget(absl::string_view target) {
  const size_t scheme_end = target.find("://");
  if (scheme_end == absl::string_view::npos || scheme_end == 0 ||
      !AllOf(target.substr(0, scheme_end), kSchemeChar)) {
    return Fail("http1.invalid_url");
  }
  const absl::string_view scheme = target.substr(0, scheme_end);
  if (absl::EqualsIgnoreCase(scheme, "http")) {
    headers_->set_pseudo_static(HeaderId::kScheme, "http");
  } else if (absl::EqualsIgnoreCase(scheme, "https")) {
    headers_->set_pseudo_static(HeaderId::kScheme, "https");
  } else {
    return Fail("http1.invalid_scheme");
  }
  const absl::string_view rest = target.substr(scheme_end + 3);
  const size_t authority_end = rest.find_first_of("/?");
  const absl::string_view authority = rest.substr(0, authority_end);
  if (!IsValidHost(authority)) return Fail("http1.invalid_url");
  headers_->set_pseudo(HeaderId::kAuthority, authority);
  authority_from_target_ = true;
  if (authority_end == absl::string_view::npos) {
    headers_->set_pseudo_static(HeaderId::kPath, "/");
  } else if (rest[authority_end] == '/') {
    headers_->set_pseudo(HeaderId::kPath, rest.substr(authority_end));
  } else {
    headers_->set_pseudo_static(HeaderId::kPath,
                                headers_->arena().Concat("/", rest.substr(authority_end)));
  }
  return true;
}

bool Http1Parser::Field(absl::string_view line) {
  constexpr size_t kShort = 64;
  char buffer[kShort];
  const size_t most = line.size() < kShort ? line.size() : kShort;
  size_t size = 0;
  for (; size < most; ++size) {
    const char lower = kLower.map[static_cast<uint8_t>(line[size])];
    if (lower == 0) break;
    buffer[size] = lower;
  }
  const char* lower = buffer;
  if (size == kShort) {
    while (size < line.size() && kLower.map[static_cast<uint8_t>(line[size])] != 0) ++size;
    char* copy = headers_->arena().AllocateChars(size);
    CopyLower(copy, line.data(), size);
    lower = copy;
  }
  if (size == 0 || size == line.size() || line[size] != ':') return Fail(kCodecError);
  const absl::string_view value = TrimBlanks(line.substr(size + 1));
  if (++fields_ > options_->max_headers_count) {
    return Fail("http1.too_many_headers", 431, true);
  }
  if (!Count(size + value.size())) return false;
  facts_.field_bytes += size + value.size() + 3;
  const HeaderId id = LookUpHeader({lower, size});
  if (id == HeaderId::kTransferEncoding && line.back() == '\t') return Fail(kCodecError);
  if (phase_ == Phase::kTrailers) {
    Trailer({lower, size}, id, value);
    return true;
  }
  return Keep(line, size, id, lower, value);
}

// Adds the field, unless it belongs to the codec.
bool Http1Parser::Keep(absl::string_view line, size_t name_size, HeaderId id, const char* lower,
                       absl::string_view value) {
  Arena& arena = headers_->arena();
  switch (id) {
    case HeaderId::kHost:
    case HeaderId::kTransferEncoding:
    case HeaderId::kConnection:
    case HeaderId::kUpgrade:
    case HeaderId::kTe:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kHttp2Settings:
      return Framing(id, value);
    case HeaderId::kContentLength:
      if (facts_.content_length) return Fail(kCodecError);
      facts_.content_length = ParseContentLength(value);
      if (!facts_.content_length) return Fail(kCodecError);
      break;
    default:
      break;
  }
  Header header;
  header.id = id;
  header.value = arena.Copy(value);
  if (options_->preserve_case) {
    header.name = arena.Concat({lower, name_size}, line.substr(0, name_size)).substr(0, name_size);
    header.spelled = true;
  } else if (id != HeaderId::kOther) {
    header.name = HeaderName(id);
  } else {
    header.name = arena.Copy({lower, name_size});
  }
  headers_->AddEntry(header);
  return true;
}

bool Http1Parser::Framing(HeaderId id, absl::string_view value) {
  Arena& arena = headers_->arena();
  const auto join = [&](absl::string_view* to) {
    *to = to->empty() ? arena.Copy(value) : arena.Concat(*to, ",", value);
  };
  switch (id) {
    case HeaderId::kHost:
      if (kind_ == Kind::kResponse) break;
      if (++hosts_ > 1) return Fail("http.invalid_authority");
      host_ = arena.Copy(value);
      break;
    case HeaderId::kTransferEncoding:
      ++transfer_encodings_;
      transfer_encoding_ = arena.Copy(value);
      break;
    case HeaderId::kConnection:
      join(&connection_);
      break;
    case HeaderId::kUpgrade:
      join(&upgrade_);
      break;
    case HeaderId::kTe:
      join(&te_);
      break;
    default:  // keep-alive, proxy-connection, http2-settings: of this connection alone
      break;
  }
  return true;
}

void Http1Parser::Trailer(absl::string_view name, HeaderId id, absl::string_view value) {
  if (trailers_ == nullptr || IsForbiddenTrailer(name)) return;
  Arena& arena = trailers_->arena();
  const absl::string_view kept = id == HeaderId::kOther ? arena.Copy(name) : HeaderName(id);
  trailers_->AddEntry({kept, arena.Copy(value), id});
}

}  // namespace remora::proxy
