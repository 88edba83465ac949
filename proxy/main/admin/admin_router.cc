#include "proxy/main/admin/admin_router.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"

namespace remora::proxy {

void AdminRouter::OnRequestHeaders(RouterHost* host, Headers* headers, bool end, bool /*upgrade*/) {
  host_ = host;
  request_ = AdminRequest::Make(headers->method(), headers->path());
  head_ = headers->method() == "HEAD";
  form_ =
      absl::StartsWith(headers->Value(HeaderId::kContentType), "application/x-www-form-urlencoded");
  // Rendering may take a while and what it changes may reach far: not from inside the codec.
  if (end) host_->loop().AtEndOfTurn(this);
}

void AdminRouter::OnRequestBody(Body& body, bool end) {
  if (form_ && form_body_.size() + body.size() <= kMostBody) form_body_ += body.ToString();
  body.Clear();
  if (end && host_ != nullptr) host_->loop().AtEndOfTurn(this);
}

void AdminRouter::OnRequestTrailers(Headers* /*trailers*/) {
  if (host_ != nullptr) host_->loop().AtEndOfTurn(this);
}

void AdminRouter::RunAtEndOfTurn() {
  if (host_ == nullptr) return;
  answered_ ? SendPieces() : Answer();
}

void AdminRouter::Answer() {
  answered_ = true;
  if (request_.query.empty() && form_) request_.query = AdminRequest::ParseParameters(form_body_);
  AdminResponse response = pages_->Answer(request_);
  // A page's action may have ended the exchange.
  if (host_ == nullptr) return;
  page_ = std::move(response.body);
  Arena& arena = host_->arena();
  auto* headers = arena.New<Headers>(&arena);
  headers->set_status(response.status);
  headers->Add(HeaderId::kContentType, response.content_type);
  headers->AddReference("cache-control", "no-cache, max-age=0");
  headers->AddReference("x-content-type-options", "nosniff");
  const bool end = page_.empty() || head_;
  host_->info().response_code_details = "admin_filter_response";
  host_->OnUpstreamHeaders(headers, end);
  if (!end) SendPieces();
}

void AdminRouter::SendPieces() {
  if (sending_) return;
  sending_ = true;
  while (host_ != nullptr && !paused_ && sent_ < page_.size()) {
    const size_t size = std::min(kPiece, page_.size() - sent_);
    Body piece;
    piece.Append(absl::string_view(page_).substr(sent_, size));
    sent_ += size;
    host_->OnUpstreamBody(piece, sent_ == page_.size());
  }
  sending_ = false;
}

void AdminRouter::ResumeResponse() {
  paused_ = false;
  if (answered_ && host_ != nullptr && sent_ < page_.size() && !head_)
    host_->loop().AtEndOfTurn(this);
}

void AdminRouter::Cancel() {
  Unlink();
  host_ = nullptr;
  request_ = {};
  head_ = form_ = answered_ = paused_ = false;
  form_body_.clear();
  // Pages may be large: an idle stream keeps none.
  std::string().swap(page_);
  sent_ = 0;
}

}  // namespace remora::proxy
