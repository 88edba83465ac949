#include "proxy/codec/http2_fields.h"

#include <cstring>

#include "absl/strings/match.h"
#include "proxy/codec/field_text.h"
#include "proxy/codec/http1_parser.h"

namespace remora::proxy {

void Http2FieldReader::Start(Kind kind, Headers* headers, const Http2Options& options) {
  kind_ = kind;
  headers_ = headers;
  max_bytes_ = options.max_headers_bytes;
  max_fields_ = options.max_headers_count;
  bytes_ = 0;
  fields_ = 0;
  malformed_ = false;
  overflow_ = host_ = {};
  crumbs_ = last_crumb_ = nullptr;
}

void Http2FieldReader::Add(absl::string_view name, absl::string_view value, bool never_index) {
  if (malformed_ || !overflow_.empty()) return;
  bytes_ += name.size() + value.size();
  const bool pseudo = !name.empty() && name.front() == ':';
  if (!pseudo) ++fields_;
  if (bytes_ > max_bytes_) {
    overflow_ = "http2.header_list_size_too_large";
    return;
  }
  if (fields_ > max_fields_) {
    overflow_ = "http2.too_many_headers";
    return;
  }
  const HeaderId id = LookUpHeader(name);
  if (pseudo) {
    AddPseudo(id, value);
    return;
  }
  Arena& arena = headers_->arena();
  if (kind_ == Kind::kTrailers) {
    if (IsForbiddenTrailer(name)) return;
  } else if (id == HeaderId::kCookie) {
    AddCrumb(value);
    return;
  } else if (id == HeaderId::kHost && kind_ == Kind::kRequest) {
    host_ = arena.Copy(value);
    return;
  }
  const absl::string_view kept = id == HeaderId::kOther ? arena.Copy(name) : HeaderName(id);
  headers_->AddEntry({kept, arena.Copy(value), id, never_index});
}

void Http2FieldReader::AddPseudo(HeaderId id, absl::string_view value) {
  bool valid = kind_ != Kind::kTrailers;
  switch (id) {
    case HeaderId::kMethod: {
      const absl::string_view known = KnownMethod(value);
      if (!known.empty()) {
        headers_->set_pseudo_static(id, known);
        return;
      }
      valid = valid && !value.empty() && AllOf(value, kTokenChar);
      break;
    }
    case HeaderId::kScheme:
      valid = valid && !value.empty() && AllOf(value, kSchemeChar);
      break;
    case HeaderId::kAuthority:
      valid = valid && (value.empty() || IsValidHost(value));
      break;
    case HeaderId::kPath:
      valid = valid && AllOf(value, kTargetChar);
      break;
    case HeaderId::kProtocol:
      valid = valid && !value.empty() && AllOf(value, kTokenChar);
      break;
    case HeaderId::kStatus:
      valid = valid && value.size() == 3 && value.front() >= '1' && value.front() <= '5';
      break;
    default:
      valid = false;
  }
  if (!valid) {
    malformed_ = true;
    return;
  }
  headers_->set_pseudo(id, value);
}

void Http2FieldReader::AddCrumb(absl::string_view value) {
  Arena& arena = headers_->arena();
  auto* crumb = arena.New<Crumb>();
  crumb->text = arena.Copy(value);
  crumb->next = nullptr;
  if (last_crumb_ == nullptr) {
    crumbs_ = crumb;
  } else {
    last_crumb_->next = crumb;
  }
  last_crumb_ = crumb;
}

void Http2FieldReader::JoinCrumbs() {
  if (crumbs_ == nullptr) return;
  absl::string_view joined = crumbs_->text;
  if (crumbs_->next != nullptr) {
    size_t size = 0;
    for (const Crumb* crumb = crumbs_; crumb != nullptr; crumb = crumb->next) {
      size += crumb->text.size() + 2;
    }
    char* text = headers_->arena().AllocateChars(size);
    char* at = text;
    for (const Crumb* crumb = crumbs_; crumb != nullptr; crumb = crumb->next) {
      if (at != text) {
        *at++ = ';';
        *at++ = ' ';
      }
      if (!crumb->text.empty()) std::memcpy(at, crumb->text.data(), crumb->text.size());
      at += crumb->text.size();
    }
    joined = absl::string_view(text, at - text);
  }
  headers_->AddReference(HeaderId::kCookie, joined);
}

bool Http2FieldReader::Finish() {
  if (malformed_ || !overflow_.empty()) return false;
  JoinCrumbs();
  return kind_ != Kind::kRequest || FinishRequest();
}

bool Http2FieldReader::FinishRequest() {
  if (!host_.empty() && !IsValidHost(host_)) return false;
  // Where both are given :authority counts (RFC 9113 section 8.3.1).
  if (headers_->authority().empty() && !host_.empty()) {
    headers_->set_pseudo_static(HeaderId::kAuthority, host_);
  }
  const absl::string_view path = headers_->path();
  if (headers_->method() == "CONNECT" && headers_->protocol().empty()) return path.empty();
  if (path == "*") return headers_->method() == "OPTIONS";
  return !path.empty() && path.front() == '/';
}

void Http2FieldWriter::Add(absl::string_view name, absl::string_view value, bool never_index) {
  bytes_ += name.size() + value.size();
  nghttp2_nv field;
  field.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data()));
  field.namelen = name.size();
  field.value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data()));
  field.valuelen = value.size();
  field.flags = flags_ | (never_index ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE);
  fields_.push_back(field);
}

void Http2FieldWriter::Fields(const Headers& headers, bool upgrade, bool length) {
  headers.ForEach([&](const Header& h) {
    switch (h.id) {
      case HeaderId::kConnection:
      case HeaderId::kKeepAlive:
      case HeaderId::kProxyConnection:
      case HeaderId::kTransferEncoding:
      case HeaderId::kUpgrade:
      case HeaderId::kHttp2Settings:
      case HeaderId::kHost:
        return;
      case HeaderId::kTe:
        if (h.value != "trailers") return;
        break;
      case HeaderId::kContentLength:
        if (!length || (upgrade && h.value == "0")) return;
        break;
      default:
        break;
    }
    absl::string_view value = h.value;
    const char* end = value.data() + value.size();
    if (FindControl(value.data(), end) != end) {
      // Written by a filter or from a certificate; the peer would refuse the whole message.
      char* copy = headers.arena().AllocateChars(value.size());
      for (size_t i = 0; i < value.size(); ++i) {
        copy[i] = IsChar(value[i], kValueChar) ? value[i] : ' ';
      }
      value = absl::string_view(copy, value.size());
    }
    Add(h.name, value, h.never_index);
  });
}

const std::vector<nghttp2_nv>& Http2FieldWriter::Request(const Headers& headers) {
  fields_.clear();
  bytes_ = 0;
  const Header* upgrade = headers.Find(HeaderId::kUpgrade);
  const bool connect = headers.method() == "CONNECT" && headers.protocol().empty();
  Add(":method", upgrade != nullptr ? absl::string_view("CONNECT") : headers.method());
  if (!connect) {
    Add(":scheme", headers.scheme().empty() ? absl::string_view("http") : headers.scheme());
  }
  if (!headers.authority().empty()) Add(":authority", headers.authority());
  if (!connect) Add(":path", headers.path().empty() ? absl::string_view("/") : headers.path());
  if (upgrade != nullptr) {
    char* lower = headers.arena().AllocateChars(upgrade->value.size());
    CopyLower(lower, upgrade->value.data(), upgrade->value.size());
    Add(":protocol", {lower, upgrade->value.size()});
  } else if (!headers.protocol().empty()) {
    Add(":protocol", headers.protocol());
  }
  Fields(headers, upgrade != nullptr, /*length=*/!connect);
  return fields_;
}

const std::vector<nghttp2_nv>& Http2FieldWriter::Response(const Headers& headers) {
  fields_.clear();
  bytes_ = 0;
  Add(":status", headers.pseudo(HeaderId::kStatus));
  const int status = headers.status();
  Fields(headers, /*upgrade=*/false, /*length=*/status >= 200 && status != 204);
  return fields_;
}

const std::vector<nghttp2_nv>& Http2FieldWriter::Trailers(const Headers& headers) {
  fields_.clear();
  bytes_ = 0;
  Fields(headers, /*upgrade=*/false, /*length=*/false);
  return fields_;
}

}  // namespace remora::proxy
