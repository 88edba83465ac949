// What nghttp2 tells an Http2Session while it reads and writes.
#include <algorithm>
#include <utility>

#include "proxy/codec/http2_session.h"
#include "proxy/codec/http2_stream.h"

namespace remora::proxy {
namespace {

constexpr size_t kFrameHeader = 9;
constexpr int kMostInterim = 100;
constexpr absl::string_view kProtocolFault = "http2.unknown.nghttp2.error";
// A request that was reset sooner than this, before any response, was reset early.
constexpr int64_t kPrematureNs = 1000000000;
constexpr absl::string_view kInvalidField = "http2.invalid.header.field";

absl::string_view Text(nghttp2_rcbuf* buffer) {
  const nghttp2_vec text = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(text.base), text.len};
}

bool HasEnd(const nghttp2_frame& frame) { return (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0; }

}  // namespace

int Http2Session::OnBeginFrame(const nghttp2_frame_hd& hd) {
  absl::string_view flood;
  switch (hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
      if ((hd.flags & NGHTTP2_FLAG_END_HEADERS) != 0) flood_.OnHeaderBlock();
      if (hd.length == 0 && (hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        flood = flood_.OnEmptyFrame();
      } else {
        flood_.OnFilledFrame();
      }
      break;
    case NGHTTP2_PRIORITY:
      flood = flood_.OnPriority();
      break;
    case NGHTTP2_PUSH_PROMISE:
      // Refused from the start, not only once the peer has acknowledged our setting.
      return Break(kProtocolFault, NGHTTP2_PROTOCOL_ERROR);
    case NGHTTP2_WINDOW_UPDATE:
      flood = flood_.OnWindowUpdate();
      break;
    default:
      break;
  }
  return flood.empty() ? 0 : Break(flood, NGHTTP2_ENHANCE_YOUR_CALM, true);
}

int Http2Session::OnBeginHeaders(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS) return 0;
  const int32_t id = frame.hd.stream_id;
  Http2FieldReader::Kind kind = Http2FieldReader::Kind::kTrailers;
  if (server() && frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    kind = Http2FieldReader::Kind::kRequest;
    Http2Stream* stream = MakeStream(nullptr);
    stream->id_ = id;
    stream->opened_ns_ = host_->now_ns();
    nghttp2_session_set_stream_user_data(session_, id, stream);
    current_ = stream;
    stream->sink_ = server_->OnNewStream(stream);
    if (stream->sink_ == nullptr) {
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
  }
  Http2Stream* stream = Find(id);
  if (stream == nullptr || stream->sink_ == nullptr) return 0;
  if (!server() && !stream->final_headers_) kind = Http2FieldReader::Kind::kResponse;
  Arena& arena = stream->sink_->arena();
  reader_.Start(kind, arena.New<Headers>(&arena), options_);
  return 0;
}

void Http2Session::OnHeader(int32_t id, nghttp2_rcbuf* name, nghttp2_rcbuf* value, uint8_t flags) {
  Http2Stream* stream = Find(id);
  if (stream == nullptr || stream->sink_ == nullptr) return;
  reader_.Add(Text(name), Text(value), (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0);
}

int Http2Session::OnFrame(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      return OnHeaderBlock(frame);
    case NGHTTP2_DATA:
      return OnDataFrame(frame);
    case NGHTTP2_RST_STREAM: {
      Count(&CodecStats::rx_reset);
      Http2Stream* stream = Find(frame.hd.stream_id);
      if (stream != nullptr) stream->remote_reset_ = true;
      return 0;
    }
    case NGHTTP2_SETTINGS:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) == 0) OnSettings();
      return 0;
    case NGHTTP2_PING:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) == 0) return 0;
      if (server()) {
        server_->OnPingAck();
      } else {
        client_->OnPingAck();
      }
      return 0;
    case NGHTTP2_GOAWAY:
      if (!std::exchange(goaway_seen_, true) && !server()) client_->OnGoAway();
      return 0;
    default:
      return 0;
  }
}

void Http2Session::OnSettings() {
  if (server()) return;
  client_->OnMaxStreams(
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
}

// Ends a stream whose peer sent something that cannot be used.
void Http2Session::Refuse(Http2Stream* stream, uint32_t code, ResetReason reason,
                          absl::string_view details) {
  stream->messaging_error_ = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id_, code);
  stream->SinkReset(reason, details);
}

int Http2Session::OnHeaderBlock(const nghttp2_frame& frame) {
  Http2Stream* stream = Find(frame.hd.stream_id);
  if (stream == nullptr) return 0;
  stream->wire_.received += kFrameHeader + frame.hd.length;
  stream->wire_.header_received += kFrameHeader + frame.hd.length;
  stream->wire_.fields_received += reader_.bytes();
  const bool end = HasEnd(frame);
  if (end) stream->remote_end_ = true;
  if (stream->sink_ == nullptr) return 0;
  if (!reader_.Finish()) {
    if (!reader_.overflow().empty()) {
      Count(&CodecStats::header_overflow);
      Refuse(stream, NGHTTP2_INTERNAL_ERROR, ResetReason::kOverflow, reader_.overflow());
      return 0;
    }
    Count(&CodecStats::rx_messaging_error);
    Refuse(stream, NGHTTP2_PROTOCOL_ERROR, ResetReason::kProtocolError, kInvalidField);
    if (!server() || options_.stream_error_on_invalid_message) return 0;
    ends_for_message_ = true;
    return Break(kInvalidField, NGHTTP2_PROTOCOL_ERROR);
  }
  Headers* headers = reader_.headers();
  if (stream->final_headers_) {
    Count(&CodecStats::trailers);
    if (headers->size() != 0) stream->trailers_ = headers;
    stream->Deliver();
    return 0;
  }
  if (!server() && headers->status() < 200) {
    if (end || ++stream->interim_ > kMostInterim) {
      Refuse(stream, NGHTTP2_PROTOCOL_ERROR, ResetReason::kProtocolError, kInvalidField);
    } else {
      stream->sink_->OnInterim(headers);
    }
    return 0;
  }
  stream->final_headers_ = true;
  MessageSink* sink = stream->sink_;
  if (end) {
    stream->end_delivered_ = true;
    stream->MaybeDetach();
  }
  sink->OnHeaders(headers, end);
  return 0;
}

int Http2Session::OnDataFrame(const nghttp2_frame& frame) {
  if (frame.hd.length == frame.data.padlen && !HasEnd(frame)) {
    const absl::string_view flood = flood_.OnEmptyFrame();
    if (!flood.empty()) return Break(flood, NGHTTP2_ENHANCE_YOUR_CALM, true);
  } else {
    flood_.OnFilledFrame();
  }
  Http2Stream* stream = Find(frame.hd.stream_id);
  if (stream == nullptr) return 0;
  stream->wire_.received += kFrameHeader + frame.hd.length;
  if (HasEnd(frame)) stream->remote_end_ = true;
  stream->Deliver();
  return 0;
}

int Http2Session::OnData(int32_t id, absl::string_view data) {
  Http2Stream* stream = Find(id);
  if (stream == nullptr || stream->sink_ == nullptr) {
    nghttp2_session_consume(session_, id, data.size());
    return 0;
  }
  stream->inbox_.AppendSharedRun(*input_, data);
  return 0;
}

int Http2Session::OnInvalidFrame(const nghttp2_frame& frame, int code) {
  const bool field = code == NGHTTP2_ERR_HTTP_HEADER;
  if (code == NGHTTP2_ERR_REFUSED_STREAM) Count(&CodecStats::stream_refused_errors);
  if (!field && code != NGHTTP2_ERR_HTTP_MESSAGING) return 0;
  Count(&CodecStats::rx_messaging_error);
  Http2Stream* stream = Find(frame.hd.stream_id);
  const absl::string_view details = field ? kInvalidField : "http2.violation.of.messaging.rule";
  // nghttp2 has submitted the reset of the stream already.
  if (stream != nullptr) {
    stream->messaging_error_ = true;
    stream->SinkReset(ResetReason::kProtocolError, details);
  }
  // A body that is not as long as it said harms its own stream alone.
  if (!server() || options_.stream_error_on_invalid_message || frame.hd.type == NGHTTP2_DATA) {
    return 0;
  }
  ends_for_message_ = true;
  return Break(details, NGHTTP2_PROTOCOL_ERROR);
}

int Http2Session::OnStreamClosed(int32_t id, uint32_t code) {
  auto* stream = static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  if (stream == nullptr) return 0;
  if (current_ == stream) current_ = nullptr;
  const bool clean =
      code == NGHTTP2_NO_ERROR && stream->remote_end_ && (stream->local_end_sent_ || !server());
  absl::string_view flood;
  if (server()) {
    const bool early = host_->now_ns() - stream->opened_ns_ < kPrematureNs;
    const bool by_peer = stream->remote_reset_ || stream->messaging_error_;
    flood = flood_.OnRequestEnded(by_peer && early && !stream->headers_sent_);
  }
  CloseStream(stream);
  // A client whose response came whole hears no more of it, whatever becomes of its request.
  if (!clean && !(stream->end_delivered_ && !server())) {
    ResetReason reason = ResetReason::kRemoteReset;
    absl::string_view details = "http2.remote_reset";
    if (code == NGHTTP2_REFUSED_STREAM) {
      reason = ResetReason::kRemoteRefused;
      details = "http2.remote_refuse";
    } else if (!stream->remote_reset_) {
      reason = ResetReason::kProtocolError;
    } else if (code == NGHTTP2_CONNECT_ERROR) {
      reason = ResetReason::kConnectError;
    }
    stream->SinkReset(reason, details);
    CloseStream(stream);
  }
  if (client_ != nullptr) client_->OnStreamClosed();
  return flood.empty() ? 0 : Break(flood, NGHTTP2_ENHANCE_YOUR_CALM, true);
}

void Http2Session::OnFrameSent(const nghttp2_frame& frame) {
  using FrameKind = Http2FloodGuard::FrameKind;
  const size_t size = kFrameHeader + frame.hd.length;
  switch (frame.hd.type) {
    case NGHTTP2_DATA:
      flood_.OnFrameSent(size, FrameKind::kData);
      break;
    case NGHTTP2_HEADERS:
      flood_.OnFrameSent(size, FrameKind::kHeaders);
      break;
    case NGHTTP2_GOAWAY:
      Count(&CodecStats::goaway_sent);
      if (frame.goaway.error_code != NGHTTP2_NO_ERROR) {
        wrote_goaway_ = true;
        Break(kProtocolFault, frame.goaway.error_code);
      }
      flood_.OnFrameSent(size, FrameKind::kControl);
      return;
    default:
      if (frame.hd.type == NGHTTP2_RST_STREAM) Count(&CodecStats::tx_reset);
      flood_.OnFrameSent(size, FrameKind::kControl);
      return;
  }
  auto* stream =
      static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, frame.hd.stream_id));
  if (stream == nullptr) return;
  stream->wire_.sent += size;
  if (frame.hd.type == NGHTTP2_HEADERS) stream->wire_.header_sent += size;
  if (!HasEnd(frame)) return;
  stream->local_end_sent_ = true;
  // Whoever holds a stream only because its request goes on may give it up now.
  if (server() && !stream->remote_end_ && stream->sink_ != nullptr) stream->sink_->OnSendDrained();
}

ssize_t Http2Session::ReadBody(Http2Stream* stream, size_t length, uint32_t* flags) {
  const size_t size = std::min(length, stream->outbox_.size());
  const bool all = size == stream->outbox_.size() && stream->local_end_;
  if ((size == 0 && !all) || stream->trailers_submitted_) return NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (all) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->out_trailers_ != nullptr) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      stream->SubmitTrailers(*std::exchange(stream->out_trailers_, nullptr), /*copy=*/true);
    }
  }
  return static_cast<ssize_t>(size);
}

void Http2Session::WriteData(Http2Stream* stream, const nghttp2_frame& /*frame*/,
                             const uint8_t* header, size_t length) {
  Body& output = host_->output();
  output.Append(absl::string_view(reinterpret_cast<const char*>(header), kFrameHeader));
  output.Append(stream->outbox_, length);
  wrote_ = true;
  stream->CheckDrained();
}

}  // namespace remora::proxy
