#include "proxy/codec/http2_stream.h"

#include <utility>

#include "proxy/codec/http2_entry.h"
#include "proxy/codec/http2_session.h"

namespace remora::proxy {
namespace {

// Streams that ended, kept for the next ones of this thread.
class StreamCache {
 public:
  static constexpr size_t kMost = 1024;

  explicit StreamCache(void (*destroy)(Http2Stream*)) : destroy_(destroy) {}
  ~StreamCache() {
    for (size_t i = 0; i < count_; ++i) destroy_(streams_[i]);
  }
  Http2Stream* Take() { return count_ == 0 ? nullptr : streams_[--count_]; }
  bool Give(Http2Stream* stream) {
    if (count_ == kMost) return false;
    streams_[count_++] = stream;
    return true;
  }

 private:
  void (*destroy_)(Http2Stream*);
  size_t count_ = 0;
  Http2Stream* streams_[kMost];
};

}  // namespace

struct Http2Stream::Cache {
  static StreamCache& Local() {
    thread_local StreamCache cache([](Http2Stream* stream) { delete stream; });
    return cache;
  }
};

Http2Stream* Http2Stream::Take(Http2Session* session, MessageSink* sink) {
  Http2Stream* stream = Cache::Local().Take();
  if (stream == nullptr) stream = new Http2Stream();
  stream->session_ = session;
  stream->sink_ = sink;
  return stream;
}

void Http2Stream::Give(Http2Stream* stream) {
  stream->Clear();
  if (!Cache::Local().Give(stream)) delete stream;
}

void Http2Stream::Clear() {
  session_ = nullptr;
  sink_ = nullptr;
  prev_ = next_ = nullptr;
  id_ = -1;
  inbox_.Clear();
  trailers_ = nullptr;
  credit_ = 0;
  pauses_ = 0;
  final_headers_ = remote_end_ = end_delivered_ = waiting_ = remote_reset_ = false;
  messaging_error_ = false;
  outbox_.Clear();
  own_.Reset();
  out_trailers_ = nullptr;
  headers_sent_ = local_end_ = local_end_sent_ = trailers_submitted_ = blocked_ = false;
  closed_ = dead_ = false;
  interim_ = 0;
  opened_ns_ = 0;
  wire_ = WireBytes();
}

void Http2Stream::SendInterim(const Headers& headers) {
  if (closed_ || headers_sent_ || sink_ == nullptr) return;
  Http2Session::Entry entry(session_);
  Http2FieldWriter& writer = session_->writer_;
  writer.set_copy(entry.deferred());
  const std::vector<nghttp2_nv>& fields = writer.Response(headers);
  nghttp2_submit_headers(session_->session_, NGHTTP2_FLAG_NONE, id_, nullptr, fields.data(),
                         fields.size(), nullptr);
}

void Http2Stream::SendHeaders(const Headers& headers, bool end) {
  if (headers_sent_) return;
  headers_sent_ = true;
  local_end_ = end;
  if (closed_) {
    MaybeDetach();
    return;
  }
  {
    Http2Session::Entry entry(session_);
    Http2FieldWriter& writer = session_->writer_;
    writer.set_copy(entry.deferred() || session_->OverPeerLimit());
    nghttp2_data_provider provider;
    provider.source.ptr = this;
    provider.read_callback = Http2Session::DataSource();
    const nghttp2_data_provider* source = end ? nullptr : &provider;
    if (session_->server()) {
      const std::vector<nghttp2_nv>& fields = writer.Response(headers);
      nghttp2_submit_response(session_->session_, id_, fields.data(), fields.size(), source);
    } else {
      const std::vector<nghttp2_nv>& fields = writer.Request(headers);
      id_ = nghttp2_submit_request(session_->session_, nullptr, fields.data(), fields.size(),
                                   source, this);
      if (id_ < 0) {
        session_->CloseStream(this);
        SinkReset(ResetReason::kRemoteRefused, "http2.remote_refuse");
        return;
      }
    }
    wire_.fields_sent += writer.bytes();
  }
  MaybeDetach();
}

void Http2Stream::SendBody(Body& body, bool end) {
  if (closed_ || local_end_ || !headers_sent_) {
    body.Clear();
    local_end_ = local_end_ || end;
    MaybeDetach();
    return;
  }
  {
    Http2Session::Entry entry(session_);
    outbox_.Append(body);
    local_end_ = end;
    nghttp2_session_resume_data(session_->session_, id_);
  }
  if (!end) CheckBlocked();
  MaybeDetach();
}

void Http2Stream::SendTrailers(const Headers& trailers) {
  if (closed_ || local_end_ || !headers_sent_) {
    local_end_ = true;
    MaybeDetach();
    return;
  }
  {
    Http2Session::Entry entry(session_);
    local_end_ = true;
    if (trailers.size() == 0) {
      nghttp2_session_resume_data(session_->session_, id_);
    } else if (outbox_.empty()) {
      SubmitTrailers(trailers, entry.deferred());
    } else {
      out_trailers_ = trailers.CopyTo(&own_);
    }
  }
  MaybeDetach();
}

void Http2Stream::SubmitTrailers(const Headers& trailers, bool copy) {
  trailers_submitted_ = true;
  Http2FieldWriter& writer = session_->writer_;
  writer.set_copy(copy);
  const std::vector<nghttp2_nv>& fields = writer.Trailers(trailers);
  wire_.fields_sent += writer.bytes();
  nghttp2_submit_trailer(session_->session_, id_, fields.data(), fields.size());
}

uint32_t Http2Stream::ResetCode(ResetReason reason) const {
  switch (reason) {
    case ResetReason::kRemoteRefused:
      return NGHTTP2_REFUSED_STREAM;
    case ResetReason::kProtocolError:
      return NGHTTP2_PROTOCOL_ERROR;
    case ResetReason::kConnectError:
      return NGHTTP2_CONNECT_ERROR;
    default:
      break;
  }
  if (!session_->server()) return NGHTTP2_CANCEL;
  // A whole response needs nothing more of the request; half of one is no success.
  return local_end_sent_ ? NGHTTP2_NO_ERROR : NGHTTP2_INTERNAL_ERROR;
}

void Http2Stream::Reset(ResetReason reason) {
  if (sink_ == nullptr) return;
  sink_ = nullptr;
  if (closed_) {
    session_->CloseStream(this);
    return;
  }
  Http2Session::Entry entry(session_);
  if (id_ < 0) {
    session_->CloseStream(this);
    return;
  }
  outbox_.Clear();
  ReturnCredit();
  nghttp2_submit_rst_stream(session_->session_, NGHTTP2_FLAG_NONE, id_, ResetCode(reason));
}

void Http2Stream::ResumeReading() {
  if (pauses_ == 0 || --pauses_ != 0 || sink_ == nullptr) return;
  const bool something = !inbox_.empty() || credit_ != 0 || (remote_end_ && !end_delivered_);
  if (!something || waiting_) return;
  waiting_ = true;
  ++session_->waiting_streams_;
  session_->host_->WantFeed();
}

size_t Http2Stream::unsent_bytes() const {
  // The end itself counts for one, so that nobody takes the stream for sent before it is.
  return outbox_.size() + (local_end_ && !local_end_sent_ ? 1 : 0);
}

void Http2Stream::Deliver() {
  if (pauses_ > 0 || sink_ == nullptr || !final_headers_) return;
  const bool last = remote_end_ && trailers_ == nullptr && !end_delivered_;
  if (!inbox_.empty() || last) {
    Body body = std::move(inbox_);
    credit_ += body.size();
    MessageSink* sink = sink_;
    if (last) {
      end_delivered_ = true;
      MaybeDetach();
    }
    sink->OnBody(body, last);
  }
  if (pauses_ > 0) return;
  if (trailers_ != nullptr && sink_ != nullptr) {
    Headers* trailers = std::exchange(trailers_, nullptr);
    MessageSink* sink = sink_;
    end_delivered_ = true;
    MaybeDetach();
    sink->OnTrailers(trailers);
  }
  if (pauses_ == 0 || sink_ == nullptr) Credit();
}

void Http2Stream::Credit() {
  if (credit_ == 0 || session_->session_ == nullptr) return;
  nghttp2_session_consume(session_->session_, id_, std::exchange(credit_, 0));
}

// What was received and will not be delivered must not narrow the connection's window for ever.
void Http2Stream::ReturnCredit() {
  credit_ += inbox_.size();
  inbox_.Clear();
  Credit();
}

void Http2Stream::SinkReset(ResetReason reason, absl::string_view details) {
  MessageSink* sink = std::exchange(sink_, nullptr);
  if (sink != nullptr) sink->OnReset(reason, details);
}

void Http2Stream::MaybeDetach() {
  if (!end_delivered_ || !local_end_) return;
  sink_ = nullptr;
  if (closed_) session_->CloseStream(this);
}

void Http2Stream::CheckBlocked() {
  if (blocked_ || sink_ == nullptr || outbox_.size() <= session_->options_.buffer_limit) return;
  blocked_ = true;
  sink_->OnSendBlocked();
}

void Http2Stream::CheckDrained() {
  if (!blocked_ || outbox_.size() > session_->options_.buffer_limit / 2) return;
  blocked_ = false;
  if (sink_ != nullptr) sink_->OnSendDrained();
}

}  // namespace remora::proxy
