#include "proxy/codec/http1_encoder.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "proxy/codec/field_text.h"
#include "proxy/codec/reason.h"

namespace remora::proxy {
namespace {

constexpr size_t kLongestChunkLine = 18;

// "1f\r\n" and its like; returns the size.
size_t WriteChunkLine(uint64_t size, char* out) {
  char digits[16];
  size_t count = 0;
  do {
    digits[count++] = "0123456789abcdef"[size & 15];
    size >>= 4;
  } while (size != 0);
  for (size_t i = 0; i < count; ++i) out[i] = digits[count - 1 - i];
  out[count] = '\r';
  out[count + 1] = '\n';
  return count + 2;
}

bool HasNoBody(absl::string_view method) {
  return method == "GET" || method == "HEAD" || method == "DELETE" || method == "TRACE" ||
         method == "CONNECT";
}

bool HasCloseToken(absl::string_view connection) {
  bool close = false;
  ForEachListElement(connection, [&](absl::string_view token) {
    close = close || absl::EqualsIgnoreCase(token, "close");
    return !close;
  });
  return close;
}

}  // namespace

class Http1Encoder::Writer {
 public:
  Writer(char* out, bool proper_case) : begin_(out), at_(out), proper_case_(proper_case) {}

  void Text(absl::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

  // As Text, but bytes that may not stand in a field become blanks.
  void Value(absl::string_view value) {
    const char* bad = FindControl(value.data(), value.data() + value.size());
    Text(value);
    if (bad == value.data() + value.size()) return;
    for (char* p = at_ - value.size(); p != at_; ++p) {
      if (!IsChar(*p, kValueChar)) *p = ' ';
    }
  }

  // As Text, for a request target: what may not stand there is percent-encoded.
  void Target(absl::string_view target) {
    if (AllOf(target, kTargetChar)) return Text(target);
    for (const char c : target) {
      if (IsChar(c, kTargetChar)) {
        *at_++ = c;
        continue;
      }
      const auto byte = static_cast<uint8_t>(c);
      *at_++ = '%';
      *at_++ = "0123456789ABCDEF"[byte >> 4];
      *at_++ = "0123456789ABCDEF"[byte & 15];
    }
  }

  void Name(const Header& header) {
    Text(header.spelling());
    if (proper_case_ && !header.spelled) Capitalise(at_ - header.name.size());
  }

  void Field(absl::string_view name, absl::string_view value) {
    Text(name);
    if (proper_case_) Capitalise(at_ - name.size());
    Text(": ");
    Value(value);
    Text("\r\n");
  }

  size_t size() const { return at_ - begin_; }

 private:
  void Capitalise(char* p) {
    bool start = true;
    for (; p != at_; ++p) {
      if (start && *p >= 'a' && *p <= 'z') *p = static_cast<char>(*p & ~0x20);
      start = !((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9'));
    }
  }

  char* begin_;
  char* at_;
  bool proper_case_;
};

size_t Http1Encoder::Bound(const Headers& headers) const {
  // Besides the fields: the first line, three fields of our own, blanks and line ends.
  size_t bound = 256 + headers.method().size() + headers.scheme().size() +
                 2 * headers.authority().size() + 3 * headers.path().size();
  headers.ForEach([&](const Header& h) { bound += h.name.size() + h.value.size() + 4; });
  return bound;
}

void Http1Encoder::Fields(const Headers& headers, bool keep_length, bool keep_upgrade,
                          Writer& writer) {
  headers.ForEach([&](const Header& h) {
    switch (h.id) {
      case HeaderId::kContentLength:
        if (!keep_length) return;
        break;
      case HeaderId::kConnection:
        if (keep_upgrade) break;
        said_close_ = said_close_ || HasCloseToken(h.value);
        return;
      case HeaderId::kUpgrade:
        if (!keep_upgrade) return;
        break;
      case HeaderId::kHost:
      case HeaderId::kTransferEncoding:
      case HeaderId::kKeepAlive:
      case HeaderId::kProxyConnection:
      case HeaderId::kHttp2Settings:
        return;
      default:
        break;
    }
    writer.Name(h);
    writer.Text(": ");
    writer.Value(h.value);
    writer.Text("\r\n");
  });
}

// Whether content-length frames the message; it is kept then.
bool Http1Encoder::TakeLength(const Headers& headers, bool end) {
  const Header* field = headers.Find(HeaderId::kContentLength);
  if (field == nullptr) return false;
  const std::optional<uint64_t> length = ParseContentLength(field->value);
  if (!length) return false;
  framing_ = Framing::kLength;
  remaining_ = *length;
  if (end) short_ = *length != 0 && !bodiless_;
  return true;
}

// Of the head only the fields count as header bytes: what was written after `first_line` bytes.
void Http1Encoder::FinishHead(Writer& writer, size_t first_line, Body& out) {
  header_bytes_ += writer.size() - first_line;
  writer.Text("\r\n");
  out.Commit(writer.size());
  bytes_ += writer.size();
}

void Http1Encoder::RequestHead(const Headers& headers, bool end, Body& out) {
  short_ = said_close_ = bodiless_ = false;
  framing_ = Framing::kNone;
  Writer writer(out.ReserveWhole(Bound(headers)).data, options_->proper_case);
  const absl::string_view method = headers.method();
  const bool connect = method == "CONNECT";
  const bool upgrade = headers.Find(HeaderId::kUpgrade) != nullptr;
  writer.Text(method);
  writer.Text(" ");
  if (connect) {
    writer.Target(headers.authority());
  } else {
    if (options_->send_fully_qualified_url) {
      writer.Text(headers.scheme().empty() ? absl::string_view("http") : headers.scheme());
      writer.Text("://");
      writer.Target(headers.authority());
    }
    writer.Target(headers.path().empty() ? absl::string_view("/") : headers.path());
  }
  writer.Text(" HTTP/1.1\r\n");
  const size_t first_line = writer.size();
  writer.Field("host", headers.authority());
  const bool length = !connect && TakeLength(headers, end);
  Fields(headers, length, upgrade, writer);
  if (upgrade && headers.Find(HeaderId::kConnection) == nullptr) {
    writer.Field("connection", "upgrade");
  }
  if (!length && !connect && !upgrade) {
    if (!end) {
      framing_ = Framing::kChunked;
      writer.Field("transfer-encoding", "chunked");
    } else if (!HasNoBody(method)) {
      writer.Field("content-length", "0");
    }
  }
  FinishHead(writer, first_line, out);
}

void Http1Encoder::InterimHead(const Headers& headers, Body& out) {
  Writer writer(out.ReserveWhole(Bound(headers)).data, options_->proper_case);
  writer.Text("HTTP/1.1 ");
  writer.Text(headers.pseudo(HeaderId::kStatus));
  writer.Text(" ");
  writer.Text(ReasonPhrase(headers.status()));
  writer.Text("\r\n");
  const size_t first_line = writer.size();
  Fields(headers, /*keep_length=*/false, /*keep_upgrade=*/false, writer);
  said_close_ = false;
  FinishHead(writer, first_line, out);
}

void Http1Encoder::ResponseHead(const Headers& headers, bool end, const Response& response,
                                Body& out) {
  short_ = said_close_ = bodiless_ = false;
  framing_ = Framing::kNone;
  Writer writer(out.ReserveWhole(Bound(headers)).data, options_->proper_case);
  writer.Text(response.http10 ? "HTTP/1.0 " : "HTTP/1.1 ");
  writer.Text(headers.pseudo(HeaderId::kStatus));
  writer.Text(" ");
  writer.Text(ReasonPhrase(headers.status()));
  writer.Text("\r\n");
  const size_t first_line = writer.size();
  FrameResponse(headers, end, response, writer);
  if (framing_ == Framing::kTunnel) {
    if (headers.status() == 101 && headers.Find(HeaderId::kConnection) == nullptr) {
      writer.Field("connection", "upgrade");
    }
  } else if (response.close || said_close_ || until_close() || short_) {
    writer.Field("connection", "close");
    said_close_ = true;
  } else if (response.keep_alive) {
    writer.Field("connection", "keep-alive");
  }
  FinishHead(writer, first_line, out);
}

// Chooses the framing (RFC 9112 section 6.3) and writes the fields with it.
void Http1Encoder::FrameResponse(const Headers& headers, bool end, const Response& response,
                                 Writer& writer) {
  const int status = headers.status();
  if ((response.upgrade && status == 101) || (response.connect && status / 100 == 2)) {
    framing_ = Framing::kTunnel;
    Fields(headers, /*keep_length=*/false, /*keep_upgrade=*/true, writer);
    return;
  }
  bodiless_ = response.head || status == 304;
  if (status < 200 || status == 204) {
    Fields(headers, /*keep_length=*/false, /*keep_upgrade=*/false, writer);
    return;
  }
  const bool length = TakeLength(headers, end);
  Fields(headers, length, /*keep_upgrade=*/false, writer);
  if (!length) {
    if (status == 304) {
      framing_ = Framing::kNone;
    } else if (end && !response.head) {
      writer.Field("content-length", "0");
    } else if (response.http10) {
      if (!response.head) framing_ = Framing::kUntilClose;
    } else {
      framing_ = Framing::kChunked;
      writer.Field("transfer-encoding", "chunked");
    }
  }
  if (bodiless_) framing_ = Framing::kNone;
}

void Http1Encoder::SendBody(Body& body, bool end, Body& out) {
  const size_t before = out.size();
  switch (framing_) {
    case Framing::kNone:
      body.Clear();
      break;
    case Framing::kLength: {
      const size_t part = std::min<uint64_t>(remaining_, body.size());
      remaining_ -= part;
      out.Append(body, part);
      body.Clear();
      break;
    }
    case Framing::kChunked:
      if (!body.empty()) {
        const Body::Room room = out.ReserveWhole(kLongestChunkLine);
        out.Commit(WriteChunkLine(body.size(), room.data));
        out.Append(body);
        out.Append("\r\n");
      }
      break;
    case Framing::kUntilClose:
    case Framing::kTunnel:
      out.Append(body);
      break;
  }
  if (end) Finish(out);
  bytes_ += out.size() - before;
}

void Http1Encoder::Finish(Body& out) {
  if (framing_ == Framing::kChunked) out.Append("0\r\n\r\n");
  if (framing_ == Framing::kLength && remaining_ != 0) short_ = true;
}

void Http1Encoder::SendTrailers(const Headers& trailers, Body& out) {
  const size_t before = out.size();
  if (framing_ != Framing::kChunked || !options_->enable_trailers || trailers.size() == 0) {
    Finish(out);
  } else {
    Writer writer(out.ReserveWhole(Bound(trailers)).data, options_->proper_case);
    writer.Text("0\r\n");
    const size_t first_line = writer.size();
    Fields(trailers, /*keep_length=*/false, /*keep_upgrade=*/false, writer);
    FinishHead(writer, first_line, out);
    bytes_ -= writer.size();
  }
  bytes_ += out.size() - before;
}

}  // namespace remora::proxy
