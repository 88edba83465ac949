#include "proxy/codec/http2_session.h"

#include <algorithm>
#include <utility>

#include "proxy/codec/http2_callbacks.h"
#include "proxy/codec/http2_entry.h"
#include "proxy/codec/http2_memory.h"
#include "proxy/codec/http2_stream.h"

namespace remora::proxy {
namespace {

constexpr size_t kFrameHeader = 9;
constexpr absl::string_view kProtocolFault = "http2.unknown.nghttp2.error";

// The largest header block that is sent: nobody's limits are near it.
constexpr size_t kMostSentHeaders = 1024 * 1024;

nghttp2_option* MakeOption() {
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_peer_max_concurrent_streams(option, NGHTTP2_MAX_WINDOW_SIZE);
  nghttp2_option_set_max_send_header_block_length(option, kMostSentHeaders);
  // Resets are judged by Http2FloodGuard: a sidecar's one connection may well carry thousands of
  // cancelled calls a second.
  nghttp2_option_set_stream_reset_rate_limit(option, 1000000, 100000);
  return option;
}

const nghttp2_option* SessionOption() {
  static nghttp2_option* const option = MakeOption();
  return option;
}

void PutUint32(char* out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<char>(value >> (24 - 8 * i));
}

}  // namespace

Http2Session::Http2Session(CodecHost* host, ServerCodecEvents* server, ClientCodecEvents* client,
                           const Http2Options& options)
    : host_(host), server_(server), client_(client), options_(options), flood_(options) {
  if (this->server()) {
    nghttp2_session_server_new3(&session_, Http2Callbacks(), this, SessionOption(),
                                PooledHttp2Memory());
  } else {
    nghttp2_session_client_new3(&session_, Http2Callbacks(), this, SessionOption(),
                                PooledHttp2Memory());
  }
  SubmitSettings();
}

Http2Session::~Http2Session() {
  nghttp2_session_del(session_);
  while (streams_ != nullptr) Free(streams_);
}

void Http2Session::SubmitSettings() {
  nghttp2_settings_entry entries[6];
  size_t count = 0;
  const auto add = [&](int32_t id, uint32_t value) { entries[count++] = {id, value}; };
  if (server()) {
    add(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.max_concurrent_streams);
    if (options_.allow_connect) add(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
  } else {
    add(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
  }
  add(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.initial_stream_window);
  if (options_.hpack_table_size != NGHTTP2_DEFAULT_HEADER_TABLE_SIZE) {
    add(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options_.hpack_table_size);
  }
  add(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1);
  Entry entry(this);
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries, count);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(options_.initial_connection_window));
}

void Http2Session::Count(uint64_t CodecStats::* counter) {
  if (options_.stats != nullptr) ++(options_.stats->*counter);
}

std::unique_ptr<CodecError> Http2Session::Feed(Body& input) {
  FreeDeadStreams();
  if (failed_) {
    input.Clear();
    return nullptr;
  }
  feeding_ = true;
  {
    Entry entry(this);
    DeliverWaiting();
    while (!input.empty() && !broken_) {
      const absl::string_view run = input.front();
      const size_t lawful = server() ? order_.Take(run) : run.size();
      input_ = &input;
      const ssize_t taken =
          nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(run.data()), lawful);
      input_ = nullptr;
      // What has arrived of a frame does not wait for the rest of it.
      if (current_ != nullptr && !current_->inbox_.empty()) current_->Deliver();
      current_ = nullptr;
      if (taken < 0) {
        if (taken == NGHTTP2_ERR_FLOODED) {
          Count(&CodecStats::outbound_control_flood);
          Break("http2.outbound_control_frames_flood", NGHTTP2_ENHANCE_YOUR_CALM, true);
        } else if (!broken_) {
          Break(kProtocolFault, NGHTTP2_PROTOCOL_ERROR);
        }
        break;
      }
      if (order_.code() != 0) Break(kProtocolFault, order_.code());
      input.Consume(static_cast<size_t>(taken));
    }
  }
  feeding_ = false;
  if (!broken_) {
    const absl::string_view flood = flood_.CheckOutbound(
        host_->output().size(), nghttp2_session_get_outbound_queue_size(session_));
    if (!flood.empty()) Break(flood, NGHTTP2_ENHANCE_YOUR_CALM, true);
  }
  if (!broken_) return nullptr;
  input.Clear();
  return TakeError();
}

int Http2Session::Break(absl::string_view details, uint32_t code, bool overflow) {
  if (!broken_) {
    broken_ = true;
    details_ = details;
    code_ = code;
    overflow_ = overflow;
  }
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

std::unique_ptr<CodecError> Http2Session::TakeError() {
  // Answers to what came before the error still go out, but not more of what is too much.
  if (!overflow_ && depth_ == 0) WriteFrames();
  failed_ = true;
  if (!wrote_goaway_) WriteGoAway(code_);
  ResetAll(ResetReason::kProtocolError, details_);
  auto error = std::make_unique<CodecError>();
  error->details = details_;
  error->overflow = overflow_;
  return error;
}

// Made by hand, since nghttp2 may have failed in any state.
void Http2Session::WriteGoAway(uint32_t code) {
  char frame[kFrameHeader + 8] = {0, 0, 8, NGHTTP2_GOAWAY, 0, 0, 0, 0, 0};
  PutUint32(frame + kFrameHeader,
            static_cast<uint32_t>(nghttp2_session_get_last_proc_stream_id(session_)));
  PutUint32(frame + kFrameHeader + 4, code);
  host_->output().Append(absl::string_view(frame, sizeof(frame)));
  host_->WantFlush();
  wrote_goaway_ = true;
  Count(&CodecStats::goaway_sent);
}

void Http2Session::Pump() {
  if (failed_ || broken_) return;
  WriteFrames();
  // The error is reported by the next Feed().
  if (broken_ && !feeding_) host_->WantFeed();
}

void Http2Session::WriteFrames() {
  wrote_ = false;
  while (!output_blocked_) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size <= 0) {
      if (size < 0) Break(kProtocolFault, NGHTTP2_INTERNAL_ERROR);
      break;
    }
    host_->output().Append(
        absl::string_view(reinterpret_cast<const char*>(data), static_cast<size_t>(size)));
    wrote_ = true;
  }
  if (wrote_) host_->WantFlush();
}

Http2Stream* Http2Session::Find(int32_t id) {
  if (current_ != nullptr && current_->id_ == id) return current_;
  current_ = static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  return current_;
}

Http2Stream* Http2Session::MakeStream(MessageSink* sink) {
  Http2Stream* stream = Http2Stream::Take(this, sink);
  stream->next_ = streams_;
  if (streams_ != nullptr) streams_->prev_ = stream;
  streams_ = stream;
  if (open_streams_++ == 0) host_->OnIdleChange(false);
  return stream;
}

void Http2Session::CloseStream(Http2Stream* stream) {
  if (!stream->closed_) {
    stream->closed_ = true;
    stream->outbox_.Clear();
    if (--open_streams_ == 0) host_->OnIdleChange(true);
  }
  if (stream->sink_ == nullptr && !stream->dead_) {
    stream->dead_ = true;
    ++dead_streams_;
    stream->ReturnCredit();
  }
}

void Http2Session::FreeDeadStreams() {
  Http2Stream* stream = streams_;
  while (dead_streams_ != 0 && stream != nullptr) {
    Http2Stream* next = stream->next_;
    if (stream->dead_) {
      --dead_streams_;
      Free(stream);
    }
    stream = next;
  }
}

void Http2Session::Free(Http2Stream* stream) {
  if (stream->waiting_) --waiting_streams_;
  if (stream->next_ != nullptr) stream->next_->prev_ = stream->prev_;
  if (stream->prev_ != nullptr) stream->prev_->next_ = stream->next_;
  if (streams_ == stream) streams_ = stream->next_;
  Http2Stream::Give(stream);
}

// Streams that were resumed since the last time.
void Http2Session::DeliverWaiting() {
  Http2Stream* stream = streams_;
  while (waiting_streams_ != 0 && stream != nullptr) {
    Http2Stream* next = stream->next_;
    if (std::exchange(stream->waiting_, false)) {
      --waiting_streams_;
      stream->Deliver();
    }
    stream = next;
  }
}

// Handlers may reset other streams, but none is freed before the next Feed().
void Http2Session::ResetAll(ResetReason reason, absl::string_view details) {
  for (Http2Stream* stream = streams_; stream != nullptr; stream = stream->next_) {
    if (!server() && stream->remote_end_) {
      // The response is here in full; a reader that paused gets the rest of it at once, since there
      // will be no later.
      stream->pauses_ = 0;
      stream->Deliver();
    } else {
      stream->SinkReset(reason, details);
    }
    CloseStream(stream);
  }
}

void Http2Session::OnConnectionClosed(absl::string_view details) {
  if (std::exchange(failed_, true) && streams_ == nullptr) return;
  ResetAll(ResetReason::kConnectionClosed, details);
}

void Http2Session::SetOutputBlocked(bool blocked) {
  if (output_blocked_ == blocked) return;
  output_blocked_ = blocked;
  if (!blocked) Entry entry(this);
}

void Http2Session::Shutdown(bool final) {
  if (failed_) return;
  Entry entry(this);
  if (server()) {
    if (final && !final_) {
      nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                            nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                            nullptr, 0);
    } else if (!final && !shutdown_) {
      nghttp2_submit_shutdown_notice(session_);
    }
  }
  shutdown_ = true;
  final_ = final_ || final;
}

bool Http2Session::wants_close() const {
  if (failed_) return true;
  // A peer that has said goodbye makes no more requests; nghttp2 answers not even its pings.
  return open_streams_ == 0 && (final_ || goaway_seen_ || (!server() && shutdown_));
}

void Http2Session::SendPing() {
  if (failed_) return;
  Entry entry(this);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
}

bool Http2Session::can_reuse() const {
  return !failed_ && !broken_ && !goaway_seen_ && !shutdown_ &&
         nghttp2_session_check_request_allowed(session_) != 0;
}

bool Http2Session::OverPeerLimit() const {
  return !server() && open_streams_ > nghttp2_session_get_remote_settings(
                                          session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

CodecStream* Http2Session::NewStream(MessageSink* sink) {
  const uint32_t most = std::min(
      options_.max_concurrent_streams,
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
  if (!can_reuse() || open_streams_ >= most) return nullptr;
  return MakeStream(sink);
}

}  // namespace remora::proxy
