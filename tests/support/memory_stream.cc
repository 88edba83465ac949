#include "tests/support/memory_stream.h"

#include <algorithm>

namespace remora::testing {

using proxy::IoResult;

std::string FarEnd::Take() {
  std::string text = arrived_.ToString();
  arrived_.Clear();
  return text;
}

void FarEnd::Send(absl::string_view bytes) {
  to_near_.Append(bytes);
  if (near_ != nullptr) near_->Stir();
}

void FarEnd::SendEof() {
  sent_eof_ = true;
  if (near_ != nullptr) near_->Stir();
}

void FarEnd::Break(int error) {
  error_ = error;
  if (near_ != nullptr) near_->Stir();
}

void FarEnd::Accept() {
  if (near_ == nullptr) return;
  near_->connect_ended_ = true;
  near_->Stir();
}

void FarEnd::Refuse(int error) {
  if (near_ == nullptr) return;
  near_->connect_error_ = error;
  near_->connect_ended_ = true;
  near_->Stir();
}

void FarEnd::set_room(size_t room) {
  room_ = room;
  if (near_ != nullptr) near_->Stir();
}

MemoryStream::MemoryStream(proxy::Loop* loop, std::shared_ptr<FarEnd> far, bool connecting)
    : loop_(loop), far_(std::move(far)), connecting_(connecting) {
  far_->near_ = this;
}

MemoryStream::~MemoryStream() {
  if (!closed_) far_->closed_ = true;
  far_->near_ = nullptr;
}

void MemoryStream::Watch(bool readable, bool writable) {
  watch_read_ = readable;
  watch_write_ = writable;
  Stir();
}

bool MemoryStream::HasNews() const {
  if (closed_ || events_ == nullptr) return false;
  if (connecting_) return connect_ended_;
  if (watch_read_ && (!far_->to_near_.empty() || far_->sent_eof_ || far_->error_ != 0)) return true;
  return watch_write_ && far_->room_ > 0;
}

void MemoryStream::Stir() {
  if (HasNews()) loop_->AtEndOfTurn(this);
}

void MemoryStream::RunAtEndOfTurn() {
  if (!HasNews()) return;
  if (connecting_ || (watch_write_ && far_->room_ > 0)) {
    events_->OnWritable();
    return;
  }
  events_->OnReadable();
}

int MemoryStream::FinishConnect() {
  connecting_ = false;
  return connect_error_;
}

IoResult MemoryStream::Read(Body& into, size_t wish) {
  IoResult result;
  if (far_->error_ != 0) {
    result.error = far_->error_;
    return result;
  }
  result.bytes = std::min(wish, far_->to_near_.size());
  into.Append(far_->to_near_, result.bytes);
  if (far_->to_near_.empty() && far_->sent_eof_) {
    result.eof = true;
  } else if (result.bytes == 0) {
    result.again = true;
  } else {
    Stir();
  }
  return result;
}

IoResult MemoryStream::Write(Body& from) {
  IoResult result;
  if (far_->error_ != 0) {
    result.error = far_->error_;
    return result;
  }
  result.bytes = std::min(from.size(), far_->room_);
  far_->arrived_.Append(from, result.bytes);
  if (far_->room_ != SIZE_MAX) far_->room_ -= result.bytes;
  result.again = !from.empty();
  return result;
}

void MemoryStream::Close(bool reset) {
  if (closed_) return;
  closed_ = true;
  Unlink();
  far_->closed_ = true;
  far_->reset_ = reset;
}

}  // namespace remora::testing
