#include "proxy/net/tls_transport.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/net/tls_facts.h"
#include "proxy/net/tls_sessions.h"
#include "proxy/net/tls_stats.h"

namespace remora::proxy {
namespace {

constexpr size_t kRecord = 16 * 1024;

class TlsTransport final : public Transport {
 public:
  TlsTransport(std::shared_ptr<const TlsContext> context, StatSlab* stats, bool server)
      : context_(std::move(context)), ssl_(SSL_new(context_->ssl_ctx())) {
    if (stats != nullptr && context_->stats() != nullptr) {
      stats_ = StatScope<TlsStat>(stats->Cells(*context_->stats()));
    }
    BIO* bio = BIO_new(WireMethod());
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    check_.verifier = &context_->verifier();
    SSL_set_app_data(ssl_.get(), &check_);
    SSL_set_mode(ssl_.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // What only handshakes need is given back when they are over.
    SSL_set_shed_handshake_config(ssl_.get(), 1);
    if (server) {
      SSL_set_accept_state(ssl_.get());
    } else {
      SSL_set_connect_state(ssl_.get());
    }
  }

  SSL* ssl() { return ssl_.get(); }
  TlsPeerCheck& check() { return check_; }
  // The server name of a client; the check refers to it.
  std::string& name() { return name_; }

  bool is_raw() const override { return false; }

  Result Start(Body& wire_out) override {
    if (SSL_is_server(ssl_.get())) return Result::kOk;
    const Wire wire(this, nullptr, &wire_out);
    return Shake();
  }

  Result Receive(Body& wire_in, bool wire_eof, Body& plain, Body& wire_out) override {
    const Wire wire(this, &wire_in, &wire_out);
    if (!done_) {
      const Result result = Shake();
      if (result != Result::kOk || !done_)
        return wire_eof && result == Result::kOk ? Result::kEof : result;
    }
    const Result result = ReadPlain(plain);
    return wire_eof && result == Result::kOk ? Result::kEof : result;
  }

  Result Send(Body& plain, Body& wire_out) override {
    const Wire wire(this, nullptr, &wire_out);
    while (!plain.empty()) {
      absl::string_view run = plain.front();
      if (run.size() < kRecord && plain.size() > run.size()) {
        // Small pieces (a header and the body's beginning) leave in one record.
        thread_local char gathered[kRecord];
        const size_t size = std::min(kRecord, plain.size());
        plain.CopyTo(gathered, size);
        run = absl::string_view(gathered, size);
      }
      const int size = static_cast<int>(std::min(kRecord, run.size()));
      const int written = SSL_write(ssl_.get(), run.data(), size);
      if (written <= 0) return Fail();
      plain.Consume(static_cast<size_t>(written));
    }
    return Result::kOk;
  }

  void CloseSending(Body& wire_out) override {
    if (!done_) return;
    const Wire wire(this, nullptr, &wire_out);
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }

  bool handshake_done() const override { return done_; }
  const TlsFacts* facts() const override { return facts_.get(); }
  absl::string_view alpn() const override {
    return facts_ == nullptr ? absl::string_view() : facts_->alpn;
  }
  absl::string_view failure_reason() const override { return failure_; }

 private:
  // The chains that the library reads from and writes to during one call.
  class Wire {
   public:
    Wire(TlsTransport* self, Body* in, Body* out) : self_(self) {
      self_->wire_in_ = in;
      self_->wire_out_ = out;
      ERR_clear_error();
    }
    ~Wire() { self_->wire_in_ = self_->wire_out_ = nullptr; }

   private:
    TlsTransport* self_;
  };

  static const BIO_METHOD* WireMethod() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "body");
      BIO_meth_set_read(made, ReadWire);
      BIO_meth_set_write(made, WriteWire);
      BIO_meth_set_ctrl(
          made, [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH; });
      return made;
    }();
    return method;
  }

  static int ReadWire(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    Body* wire = static_cast<TlsTransport*>(BIO_get_data(bio))->wire_in_;
    if (wire == nullptr || wire->empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const size_t part = std::min(static_cast<size_t>(size), wire->size());
    wire->CopyTo(out, part);
    wire->Consume(part);
    return static_cast<int>(part);
  }

  static int WriteWire(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    Body* wire = static_cast<TlsTransport*>(BIO_get_data(bio))->wire_out_;
    wire->Append(absl::string_view(data, static_cast<size_t>(size)));
    return size;
  }

  Result Shake() {
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
      OnHandshakeDone();
      return Result::kOk;
    }
    return SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ ? Result::kOk : Fail();
  }

  Result ReadPlain(Body& plain) {
    while (true) {
      const Body::Room room = plain.Reserve();
      const int most = static_cast<int>(std::min<size_t>(room.size, 1 << 20));
      const int got = SSL_read(ssl_.get(), room.data, most);
      plain.Commit(got > 0 ? static_cast<size_t>(got) : 0);
      if (got > 0) {
        if (wire_in_->empty() && SSL_pending(ssl_.get()) == 0) return Result::kOk;
        continue;
      }
      switch (SSL_get_error(ssl_.get(), got)) {
        case SSL_ERROR_WANT_READ:
          return Result::kOk;
        case SSL_ERROR_ZERO_RETURN:
          wire_in_->Clear();
          return Result::kEof;
        default:
          return Fail();
      }
    }
  }

  void OnHandshakeDone() {
    done_ = true;
    const bool validated = check_.asked ? check_.verdict.validated : context_->verifier().asks();
    facts_ = std::make_unique<TlsFacts>(
        FactsOfHandshake(ssl_.get(), context_->local_names(), validated));
    if (facts_->sni.empty()) facts_->sni = name_;
    check_.verdict.detail = std::string();
    CountVerdict();
    if (!stats_) return;
    stats_.Add(TlsStat::kHandshake);
    if (SSL_session_reused(ssl_.get())) stats_.Add(TlsStat::kSessionReused);
    if (!facts_->peer_certificate_presented) stats_.Add(TlsStat::kNoCertificate);
    CountNegotiated(stats_, "versions.", facts_->version);
    CountNegotiated(stats_, "ciphers.", facts_->cipher);
    if (const uint16_t group = SSL_get_group_id(ssl_.get())) {
      const char* text = SSL_get_group_name(group);
      CountNegotiated(stats_, "curves.", text == nullptr ? "" : text);
    }
    if (const uint16_t algorithm = SSL_get_peer_signature_algorithm(ssl_.get())) {
      const char* text = SSL_get_signature_algorithm_name(algorithm, 1);
      CountNegotiated(stats_, "sigalgs.", text == nullptr ? "" : text);
    }
  }

  void CountVerdict() {
    if (!stats_ || !check_.asked) return;
    switch (check_.verdict.failure) {
      case PeerVerifier::Failure::kNone:
        break;
      case PeerVerifier::Failure::kChain:
        stats_.Add(TlsStat::kFailVerifyError);
        break;
      case PeerVerifier::Failure::kNames:
        stats_.Add(TlsStat::kFailVerifySan);
        break;
      case PeerVerifier::Failure::kPins:
        stats_.Add(TlsStat::kFailVerifyCertHash);
        break;
    }
    check_.asked = false;
  }

  // Puts the library's errors into words and counts them.
  Result Fail() {
    bool seen = false;
    bool counted = false;
    while (const uint32_t code = ERR_get_error()) {
      std::string detail;
      if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
        if (ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
          if (stats_) stats_.Add(TlsStat::kFailVerifyNoCert);
          detail = ":peer did not provide required client certificate";
          counted = true;
        } else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
          counted = true;
          if (!check_.verdict.detail.empty()) detail = absl::StrCat(":", check_.verdict.detail);
        }
      }
      if (!seen) failure_ = "TLS_error:";
      seen = true;
      const char* library = ERR_lib_error_string(code);
      const char* reason = ERR_reason_error_string(code);
      absl::StrAppend(&failure_, "|", code, ":", library == nullptr ? "" : library,
                      ":OPENSSL_internal:", reason == nullptr ? "" : reason, detail);
    }
    if (seen) failure_ += ":TLS_error_end";
    CountVerdict();
    // A log may want to say who it was.
    if (!done_ && facts_ == nullptr) {
      facts_ = std::make_unique<TlsFacts>(
          FactsOfHandshake(ssl_.get(), context_->local_names(), /*peer_validated=*/false));
    }
    if (seen && !counted && stats_) stats_.Add(TlsStat::kConnectionError);
    return Result::kFailed;
  }

  std::shared_ptr<const TlsContext> context_;
  TlsPeerCheck check_;
  std::string name_;
  StatScope<TlsStat> stats_;
  std::unique_ptr<TlsFacts> facts_;
  std::string failure_;
  Body* wire_in_ = nullptr;
  Body* wire_out_ = nullptr;
  bool done_ = false;
  bssl::UniquePtr<SSL> ssl_;  // dies first: it refers to the rest
};

std::string WireProtocols(absl::Span<const absl::string_view> protocols) {
  std::string wire;
  for (const absl::string_view protocol : protocols) {
    wire += static_cast<char>(protocol.size());
    wire.append(protocol.data(), protocol.size());
  }
  return wire;
}

}  // namespace

std::unique_ptr<Transport> MakeServerTls(std::shared_ptr<const ServerTlsContext> context,
                                         StatSlab& stats) {
  return std::make_unique<TlsTransport>(std::move(context), &stats, true);
}

std::unique_ptr<Transport> MakeClientTls(std::shared_ptr<const ClientTlsContext> context,
                                         StatSlab* stats, const ClientTlsTarget& target) {
  const ClientTlsContext& settings = *context;
  auto transport = std::make_unique<TlsTransport>(std::move(context), stats, false);
  SSL* ssl = transport->ssl();
  transport->name() = target.sni.empty() ? settings.sni() : std::string(target.sni);
  const std::string& name = transport->name();
  if (!name.empty()) SSL_set_tlsext_host_name(ssl, name.c_str());
  if (!settings.has_alpn() && !target.alpn.empty()) {
    const std::string wire = WireProtocols(target.alpn);
    SSL_set_alpn_protos(ssl, reinterpret_cast<const uint8_t*>(wire.data()), wire.size());
  }
  TlsPeerCheck& check = transport->check();
  if (settings.auto_sni_san_validation() || target.check_sni) {
    check.server_name = name;
    check.server_name_only = settings.auto_sni_san_validation();
    TlsContext::CheckAlways(ssl);
  }
  if (settings.max_session_keys() > 0) {
    check.session_scope = settings.id();
    check.session_name = name;
    check.most_sessions = settings.max_session_keys();
    if (bssl::UniquePtr<SSL_SESSION> session = TlsSessions::Local().Take(settings.id(), name)) {
      SSL_set_session(ssl, session.get());
    }
  }
  return transport;
}

}  // namespace remora::proxy
