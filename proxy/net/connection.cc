#include "proxy/net/connection.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <utility>

namespace remora::proxy {
namespace {

// With no limit of its own a connection still hands input on in pieces of this size at most.
constexpr size_t kReadWish = 256 * 1024;

}  // namespace

uint64_t TakeConnectionId() {
  static std::atomic<uint64_t> next{0};
  return next.fetch_add(1, std::memory_order_relaxed);
}

Connection::Connection(Loop* loop, std::unique_ptr<ByteStream> stream,
                       std::unique_ptr<Transport> transport, size_t buffer_limit)
    : loop_(loop),
      stream_(std::move(stream)),
      transport_(std::move(transport)),
      linger_timer_(
          &loop->timers(),
          [](void* self) { static_cast<Connection*>(self)->End(CloseKind::kLocal, false); }, this),
      buffer_limit_(buffer_limit),
      raw_(transport_->is_raw()) {
  stream_->Attach(this);
  info_.id = TakeConnectionId();
  info_.transport_protocol = raw_ ? "raw_buffer" : "tls";
}

Connection::~Connection() {
  // Unlinked first: nothing may run for it any more.
  Unlink();
  if (!closed_) stream_->Close(false);
}

void Connection::Start(ConnectionEvents* events) {
  events_ = events;
  started_ = true;
  begun_ = false;
  handshake_seen_ = false;
  // What an earlier user took out is not this one's.
  plain_read_ = input_.size();
  if (stream_->connecting()) {
    want_write_ = true;
    UpdateWatch();
    return;
  }
  connected_wire_ = true;
  // The rest happens at the end of this turn, so that no event comes from inside Start().
  loop_->AtEndOfTurn(this);
  if (!input_.empty() || read_eof_) {
    redeliver_ = true;
    eof_told_ = false;
  }
  UpdateWatch();
}

void Connection::SetTransport(std::unique_ptr<Transport> transport) {
  transport_ = std::move(transport);
  raw_ = transport_->is_raw();
  info_.transport_protocol = raw_ ? "raw_buffer" : "tls";
}

void Connection::BeginTransport() {
  begun_ = true;
  if (!preface_.empty()) {
    Body& wire = raw_ ? output_ : wire_out_;
    Body rest;
    rest.Append(wire);
    wire.Append(preface_);
    wire.Append(rest);
    preface_.clear();
    Flush();
  }
  if (raw_) {
    NoteHandshake();
    return;
  }
  if (transport_->Start(wire_out_) == Transport::Result::kFailed) {
    Fail(0);
    return;
  }
  // Bytes that listener filters peeked at are the beginning of the handshake.
  if (!input_.empty()) {
    plain_read_ -= std::min<uint64_t>(plain_read_, input_.size());
    wire_in_.Append(input_);
    redeliver_ = false;
    if (!TakeWire()) return;
    Deliver();
  }
  if (!closed_) Flush();
}

void Connection::FinishConnect() {
  const int error = stream_->FinishConnect();
  if (error != 0) {
    failure_text_ = std::string("delayed connect error: ") + strerror(error);
    Fail(error);
    return;
  }
  connected_wire_ = true;
  want_write_ = false;
  info_.local = stream_->local_address();
  BeginTransport();
  if (!closed_) {
    Flush();
    UpdateWatch();
  }
}

void Connection::NoteHandshake() {
  if (handshake_seen_ || closed_) return;
  handshake_seen_ = true;
  if (!raw_) {
    info_.tls = transport_->facts();
    info_.handshake_done_ns = loop_->now_ns();
  }
  events_->OnConnected();
}

void Connection::OnWritable() {
  if (closed_) return;
  if (stream_->connecting()) {
    FinishConnect();
    return;
  }
  WriteOut();
}

size_t Connection::read_limit() const {
  if (buffer_limit_ == 0) return kReadWish;
  return std::max<size_t>(1, buffer_limit_ - std::min(buffer_limit_, input_.size()));
}

void Connection::OnReadable() {
  if (closed_) return;
  if (stream_->connecting()) {
    FinishConnect();
    return;
  }
  if (!reading()) {
    UpdateWatch();
    return;
  }
  if (ReadOnce()) Deliver();
}

void Connection::OnPeerGone() {
  if (closed_ || stream_->connecting()) return;
  const int error = stream_->PendingError();
  if (error != 0) {
    Fail(error);
    return;
  }
  if (events_ != nullptr && !read_eof_) events_->OnPeerGone();
}

bool Connection::ReadOnce() {
  Body& target = raw_ ? input_ : wire_in_;
  const IoResult result = stream_->Read(target, read_limit());
  bytes_read_ += result.bytes;
  if (result.error != 0) {
    Fail(result.error);
    return false;
  }
  if (lingering_) {
    input_.Clear();
    wire_in_.Clear();
    if (result.eof) End(CloseKind::kLocal, false);
    return false;
  }
  if (result.bytes > 0) deliver_due_ = true;
  if (raw_) {
    plain_read_ += result.bytes;
    if (result.eof) read_eof_ = true;
  } else if (result.bytes > 0 || result.eof) {
    if (result.eof) read_eof_ = true;
    return TakeWire();
  }
  return true;
}

// Runs what the wire brought through the transport. Plain text and answers may come of it.
bool Connection::TakeWire() {
  const size_t before = input_.size();
  const Transport::Result result = transport_->Receive(wire_in_, read_eof_, input_, wire_out_);
  plain_read_ += input_.size() - before;
  if (!wire_out_.empty()) Flush();
  if (result == Transport::Result::kFailed) {
    // An alert may explain the failure to the peer.
    WriteOut();
    if (!closed_) Fail(0);
    return false;
  }
  if (result == Transport::Result::kEof) read_eof_ = true;
  if (!handshake_seen_ && transport_->handshake_done()) {
    NoteHandshake();
    if (closed_) return false;
    Flush();
  }
  if (read_eof_ && !handshake_seen_) {
    Fail(0);
    return false;
  }
  return true;
}

void Connection::Deliver() {
  if (closed_ || !handshake_seen_) return;
  if (paused_ != 0) {
    UpdateWatch();
    return;
  }
  const bool news = deliver_due_ || redeliver_ || (read_eof_ && !eof_told_);
  if (!news) return;
  deliver_due_ = false;
  redeliver_ = false;
  // A handshake alone is no arrival.
  const bool arrived = !input_.empty() || read_eof_;
  if (gate_ != nullptr && arrived && !gate_->Admit(read_eof_)) {
    if (!closed_) UpdateWatch();
    return;
  }
  if (closed_) return;
  if (read_eof_) eof_told_ = true;
  events_->OnData(read_eof_);
  if (!closed_) UpdateWatch();
}

void Connection::Flush() {
  if (!closed_) loop_->AtEndOfTurn(this);
}

size_t Connection::unsent() const { return output_.size() + wire_out_.size(); }

void Connection::RunAtEndOfTurn() {
  if (closed_ || !started_ || !connected_wire_) return;
  if (!begun_) {
    BeginTransport();
    if (closed_) return;
  }
  if (redeliver_ || (deliver_due_ && paused_ == 0)) {
    Deliver();
    if (closed_) return;
  }
  WriteOut();
}

bool Connection::WriteOut() {
  if (closed_ || !connected_wire_) return !closed_;
  if (!raw_ && handshake_seen_ && !output_.empty()) {
    plain_written_ += output_.size();
    if (transport_->Send(output_, wire_out_) == Transport::Result::kFailed) {
      Fail(0);
      return false;
    }
  }
  Body& source = raw_ ? output_ : wire_out_;
  if (raw_ && !handshake_seen_) return true;
  bool full = false;
  while (!source.empty() && !full) {
    const IoResult result = stream_->Write(source);
    if (result.error != 0) {
      Fail(result.error);
      return false;
    }
    bytes_written_ += result.bytes;
    if (raw_) plain_written_ += result.bytes;
    full = result.again;
  }
  want_write_ = full;
  AfterWrite();
  return !closed_;
}

void Connection::AfterWrite() {
  const size_t left = unsent();
  if (buffer_limit_ > 0) {
    if (!blocked_ && left > buffer_limit_) {
      blocked_ = true;
      events_->OnOutputBlocked();
    } else if (blocked_ && left < buffer_limit_ / 2) {
      blocked_ = false;
      events_->OnOutputDrained();
    }
    if (closed_) return;
  }
  if (left == 0 || (!raw_ && wire_out_.empty() && output_.empty())) {
    if (handshake_seen_) {
      events_->OnOutputEmpty();
      if (closed_) return;
    }
    if (unsent() == 0) FinishSending();
    if (closed_) return;
  }
  UpdateWatch();
}

void Connection::FinishSending() {
  if (!close_write_ && !close_after_flush_) return;
  if (!write_closed_) {
    write_closed_ = true;
    if (!raw_) {
      transport_->CloseSending(wire_out_);
      if (!wire_out_.empty()) {
        const IoResult result = stream_->Write(wire_out_);
        bytes_written_ += result.bytes;
        wire_out_.Clear();
      }
    }
    if (close_write_ || linger_ms_ > 0) stream_->ShutdownWrite();
  }
  if (!close_after_flush_) return;
  if (linger_ms_ == 0 || read_eof_) {
    End(CloseKind::kLocal, false);
    return;
  }
  if (lingering_) return;
  lingering_ = true;
  input_.Clear();
  linger_timer_.StartMs(linger_ms_);
}

void Connection::PauseReading(PauseReason reason) {
  paused_ |= reason;
  if (!closed_) UpdateWatch();
}

void Connection::ResumeReading(PauseReason reason) {
  if ((paused_ & reason) == 0) return;
  paused_ &= static_cast<uint8_t>(~reason);
  if (closed_ || paused_ != 0) return;
  if (deliver_due_ || (read_eof_ && !eof_told_)) {
    redeliver_ = true;
    loop_->AtEndOfTurn(this);
  }
  UpdateWatch();
}

void Connection::RedeliverInput() {
  if (closed_) return;
  redeliver_ = true;
  loop_->AtEndOfTurn(this);
}

void Connection::UpdateWatch() {
  if (!started_) return;
  stream_->Watch(reading(), want_write_);
}

void Connection::CloseWrite() {
  if (closed_ || close_write_) return;
  close_write_ = true;
  Flush();
}

void Connection::CloseAfterFlush(int64_t delay_ms) {
  if (closed_ || close_after_flush_) return;
  close_after_flush_ = true;
  linger_ms_ = delay_ms;
  Flush();
}

void Connection::Close(bool reset) {
  if (closed_) return;
  if (!reset && !raw_ && handshake_seen_ && !write_closed_ && wire_out_.empty()) {
    transport_->CloseSending(wire_out_);
    if (!wire_out_.empty()) stream_->Write(wire_out_);
  }
  stream_->Close(reset);
  End(CloseKind::kLocal, reset);
}

void Connection::Fail(int /*error*/) {
  if (info_.transport_failure_reason.empty()) {
    info_.transport_failure_reason =
        failure_text_.empty() ? transport_->failure_reason() : failure_text_;
  }
  if (!raw_) info_.tls = transport_->facts();
  End(lingering_ ? CloseKind::kLocal : CloseKind::kRemote, true);
}

void Connection::End(CloseKind kind, bool reset) {
  if (closed_) return;
  closed_ = true;
  linger_timer_.Stop();
  Unlink();
  stream_->Close(false);
  if (gate_ != nullptr) gate_->OnConnectionClosed();
  if (events_ != nullptr) events_->OnClosed(kind, reset);
}

}  // namespace remora::proxy
