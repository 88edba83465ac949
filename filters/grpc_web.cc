// envoy.filters.http.grpc_web: a browser's gRPC-web becomes gRPC and back.
#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "filters/grpc_counts.h"
#include "filters/grpc_status.h"
#include "filters/makers.h"

namespace remora {
namespace {

constexpr absl::string_view kWeb = "application/grpc-web";
constexpr absl::string_view kWebProto = "application/grpc-web+proto";
constexpr absl::string_view kText = "application/grpc-web-text";
constexpr absl::string_view kTextProto = "application/grpc-web-text+proto";
constexpr char kTrailerFrame = '\x80';
constexpr size_t kFrameHeader = 5;
// Of a message that explains a failure and is no gRPC.
constexpr size_t kMostMessage = 16 * 1024;

bool IsText(absl::string_view type) { return type == kText || type == kTextProto; }
bool IsWeb(absl::string_view type) { return type == kWeb || type == kWebProto || IsText(type); }

class GrpcWebFilter final : public HttpFilter {
 public:
  Verdict OnRequestHeaders(Headers& headers, bool) override {
    const absl::string_view type = headers.Value(HeaderId::kContentType);
    if (!IsWeb(type)) return Verdict::kContinue;
    active_ = true;
    // It told the size of the HTTP/1 body, which will not be that of the frames.
    headers.Remove(HeaderId::kContentLength);
    if (const std::optional<GrpcMethod> method = GrpcMethod::Of(headers.path())) {
      prefix_ = GrpcStatPrefix(*context_, "grpc-web", &*method);
    }
    text_request_ = IsText(type);
    headers.SetReference(HeaderId::kContentType, "application/grpc");
    text_response_ = IsText(headers.Value(HeaderId::kAccept));
    headers.SetReference(HeaderId::kTe, "trailers");
    headers.SetReference(HeaderId::kGrpcAcceptEncoding, "identity");
    return Verdict::kContinue;
  }

  Verdict OnRequestBody(Body& body, bool end) override;
  Verdict OnResponseHeaders(Headers& headers, bool end) override;
  Verdict OnResponseBody(Body& body, bool end) override;
  Verdict OnResponseTrailers(Headers& trailers) override;

 private:
  Verdict Refuse(absl::string_view details) {
    LocalReply reply;
    reply.status = 400;
    reply.body = "Bad gRPC-web request, invalid base64 data.";
    reply.details = details;
    context_->Reply(reply);
    return Verdict::kReplied;
  }
  void Explain(Headers& headers, absl::string_view message);
  void EncodeFrames(Body& body);

  bool active_ = false;
  bool text_request_ = false;
  bool text_response_ = false;
  bool explains_ = false;  // the response is no gRPC: its body becomes grpc-message
  std::string prefix_;
  Body undecoded_;
  Body frames_;  // of the response: what is no whole frame yet
  Body message_;
};

Verdict GrpcWebFilter::OnRequestBody(Body& body, bool end) {
  if (!active_ || !text_request_) return Verdict::kContinue;
  undecoded_.Append(body);
  const size_t there = undecoded_.size();
  if (there == 0) return Verdict::kContinue;
  if (end && there % 4 != 0) return Refuse("grpc_base_64_decode_failed");
  const size_t whole = there / 4 * 4;
  if (whole == 0) return Verdict::kContinue;
  std::string decoded;
  const absl::string_view text = undecoded_.Linearize(whole);
  const bool spaced = text.find_first_of(" \t\r\n") != absl::string_view::npos;
  if (spaced || !absl::Base64Unescape(text, &decoded) || decoded.empty()) {
    return Refuse("grpc_base_64_decode_failed_bad_data");
  }
  undecoded_.Consume(whole);
  body.Append(decoded);
  return Verdict::kContinue;
}

Verdict GrpcWebFilter::OnResponseHeaders(Headers& headers, bool end) {
  if (!active_) return Verdict::kContinue;
  CountGrpcAnswer(*context_, prefix_, headers);
  const absl::string_view type = headers.Value(HeaderId::kContentType);
  const bool grpc = end ? headers.Has(HeaderId::kGrpcStatus) || IsGrpcRequest(headers)
                        : headers.status() == 200 && IsGrpcRequest(headers);
  if (!grpc && !absl::StartsWith(type, kWeb)) {
    explains_ = true;
    if (!end) return Verdict::kBuffer;
    Explain(headers, {});
    return Verdict::kContinue;
  }
  headers.SetReference(HeaderId::kContentType, text_response_ ? kTextProto : kWebProto);
  return Verdict::kContinue;
}

// A failure told over plain HTTP, told as gRPC tells it.
void GrpcWebFilter::Explain(Headers& headers, absl::string_view message) {
  std::string escaped;
  AppendGrpcMessage(message, &escaped);
  headers.SetReference(HeaderId::kContentType, text_response_ ? kTextProto : kWebProto);
  headers.Set(HeaderId::kGrpcStatus, absl::AlphaNum(GrpcStatusOfHttp(headers.status())).Piece());
  headers.Set(HeaderId::kGrpcMessage, escaped);
  headers.Remove(HeaderId::kContentLength);
}

// Each frame is a text of its own, with its padding.
void GrpcWebFilter::EncodeFrames(Body& body) {
  frames_.Append(body);
  while (frames_.size() >= kFrameHeader) {
    const absl::string_view header = frames_.Linearize(kFrameHeader);
    // Nothing can be made of what is no frame.
    if ((header[0] & ~1) != 0) return;
    size_t size = 0;
    for (size_t i = 1; i < kFrameHeader; ++i) {
      size = size << 8 | static_cast<unsigned char>(header[i]);
    }
    size += kFrameHeader;
    if (frames_.size() < size) return;
    std::string encoded;
    absl::Base64Escape(frames_.Linearize(size), &encoded);
    body.Append(encoded);
    frames_.Consume(size);
  }
}

Verdict GrpcWebFilter::OnResponseBody(Body& body, bool end) {
  if (!active_) return Verdict::kContinue;
  if (explains_) {
    message_.Append(body);
    if (!end) return Verdict::kBuffer;
    const size_t size = std::min(message_.size(), kMostMessage);
    Explain(*context_->response_headers(), message_.Linearize(size));
    message_.Clear();
    return Verdict::kContinue;
  }
  if (text_response_) EncodeFrames(body);
  return Verdict::kContinue;
}

// Trailers become the last frame of the body.
Verdict GrpcWebFilter::OnResponseTrailers(Headers& trailers) {
  if (!active_) return Verdict::kContinue;
  CountGrpcAnswer(*context_, prefix_, trailers);
  if (explains_) {
    const size_t size = std::min(message_.size(), kMostMessage);
    Explain(*context_->response_headers(), message_.Linearize(size));
    message_.Clear();
    return Verdict::kContinue;
  }
  std::string text;
  trailers.ForEach([&](const Header& header) {
    absl::StrAppend(&text, header.name, ":", header.value, "\r\n");
  });
  const auto size = static_cast<uint32_t>(text.size());
  std::string frame(1, kTrailerFrame);
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(size >> shift & 0xff));
  Body body;
  frame += text;
  if (text_response_) {
    std::string encoded;
    absl::Base64Escape(frame, &encoded);
    body.Append(encoded);
  } else {
    body.Append(frame);
  }
  context_->InjectResponse(body);
  trailers.RemoveIf([](const Header&) { return true; });
  return Verdict::kContinue;
}

class GrpcWebFactory final : public FilterFactory {
 public:
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(GrpcWebFilter))) GrpcWebFilter();
  }
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view) {
  return std::make_shared<GrpcWebFactory>();
}

}  // namespace

HttpFilterType GrpcWebFilterType() {
  return {"envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", &Make, {}, nullptr};
}

}  // namespace remora
