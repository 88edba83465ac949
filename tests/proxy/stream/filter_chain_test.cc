#include "proxy/stream/filter_chain.h"

#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "filters/api/filter_state.h"
#include "filters/metadata.h"
#include "gtest/gtest.h"

namespace remora::proxy {
namespace {

// A filter whose answers a test writes down; it notes what it sees in the shared journal.
class Script final : public FilterFactory {
 public:
  Script(std::string name, std::string* journal) : name_(std::move(name)), journal_(journal) {}

  HttpFilter* Create(Arena&) const override { return new Filter(this); }
  void Destroy(HttpFilter* filter) const override { delete filter; }

  mutable std::deque<Verdict> answers;  // of request hooks; kContinue when empty
  mutable std::deque<Verdict> response_answers;
  mutable FilterContext* context = nullptr;
  mutable std::function<void(FilterContext*)> in_hook;

 private:
  class Filter final : public HttpFilter {
   public:
    explicit Filter(const Script* script) : script_(script) {}
    void Attach(FilterContext* context) override {
      HttpFilter::Attach(context);
      script_->context = context;
    }
    Verdict OnRequestHeaders(Headers&, bool end) override { return Note("H", end); }
    Verdict OnRequestBody(Body& body, bool end) override { return Note(body.ToString(), end); }
    Verdict OnRequestTrailers(Headers&) override { return Note("T", false); }
    Verdict OnResponseHeaders(Headers&, bool end) override { return Note("h", end, true); }
    Verdict OnResponseBody(Body& body, bool end) override {
      return Note(body.ToString(), end, true);
    }
    Verdict OnResponseTrailers(Headers&) override { return Note("t", false, true); }
    void OnEnd() override { *script_->journal_ += script_->name_ + "(end) "; }

   private:
    Verdict Note(const std::string& what, bool end, bool response = false) {
      *script_->journal_ += script_->name_ + what + (end ? "! " : " ");
      if (script_->in_hook) std::exchange(script_->in_hook, nullptr)(context_);
      std::deque<Verdict>& answers = response ? script_->response_answers : script_->answers;
      if (answers.empty()) return Verdict::kContinue;
      const Verdict verdict = answers.front();
      answers.pop_front();
      return verdict;
    }
    const Script* script_;
  };

  std::string name_;
  std::string* journal_;
};

class FilterChainTest : public testing::Test, public FilterChainHost {
 protected:
  FilterChainTest() {
    for (const char* name : {"a", "b"}) {
      scripts_.push_back(std::make_shared<Script>(name, &journal_));
      auto config = std::make_unique<xds::HttpFilterConfig>();
      config->name = name;
      config->factory = scripts_.back();
      configured_.filters.push_back({config.get(), nullptr});
      configs_.push_back(std::move(config));
    }
    info_.protocol = Protocol::kHttp11;
  }
  ~FilterChainTest() override { chain_.End(); }

  Script& a() { return *scripts_[0]; }
  Script& b() { return *scripts_[1]; }
  void Send(absl::string_view text, bool end) {
    Body body;
    body.Append(text);
    chain_.RequestBody(body, end);
  }
  std::string Journal() { return std::exchange(journal_, {}); }

  // FilterChainHost
  Loop& loop() override { return loop_; }
  Arena& arena() override { return arena_; }
  StreamInfo& info() override { return info_; }
  uint64_t random() override { return 1; }
  WorkerView& view() override { std::abort(); }  // none of these filters makes calls
  Metadata& dynamic_metadata() override { return metadata_; }
  FilterState& filter_state() override { return state_; }
  void OverrideHost(absl::string_view, bool) override {}
  const Runtime* runtime() override { return nullptr; }
  StatSlab& stat_slab() override { return slab_; }
  bool server_failing() override { return false; }
  absl::string_view local_cluster_name() override { return ""; }
  Headers* request_headers() override { return &headers_; }
  Headers* response_headers() override { return &headers_; }
  Levels route_levels() override { return levels_; }
  void ClearRoute() override {}
  uint64_t request_buffer_limit() override { return 10; }
  uint64_t response_buffer_limit() override { return 10; }
  void OnChainRequestHeaders(Headers*, bool end) override { Out("H", end); }
  void OnChainRequestBody(Body& body, bool end) override { Out(body.ToString(), end); }
  void OnChainRequestTrailers(Headers*) override { Out("T", false); }
  void OnChainResponseHeaders(Headers*, bool end) override { Out("h", end); }
  void OnChainResponseBody(Body& body, bool end) override { Out(body.ToString(), end); }
  void OnChainResponseTrailers(Headers*) override { Out("t", false); }
  void OnChainReply(const LocalReply&) override {
    journal_ += "reply ";
    chain_.StartReply();
    chain_.ResponseHeaders(&headers_, true);
  }
  void OnChainRequestTooLarge() override {
    journal_ += "413 ";
    chain_.StartReply();
  }
  void OnChainResponseTooLarge() override {
    journal_ += "500 ";
    chain_.StartReply();
  }
  void PauseRequest() override { ++paused_; }
  void ResumeRequest() override { --paused_; }
  void PauseResponse() override { ++response_paused_; }
  void ResumeResponse() override { --response_paused_; }

  void Out(const std::string& what, bool end) { journal_ += ">" + what + (end ? "! " : " "); }

  std::string journal_;
  Loop loop_;
  Arena arena_;
  StreamInfo info_;
  StatSlab slab_;
  Metadata metadata_;
  FilterState state_;
  Headers headers_{&arena_};
  Levels levels_;
  std::vector<std::shared_ptr<Script>> scripts_;
  std::vector<std::unique_ptr<xds::HttpFilterConfig>> configs_;
  HttpService::Chain configured_;
  int paused_ = 0;
  int response_paused_ = 0;
  FilterChain chain_{this};
};

TEST_F(FilterChainTest, MessagesPassInOrderAndResponsesInReverse) {
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Send("x", false);
  chain_.RequestTrailers(&headers_);
  EXPECT_EQ(Journal(), "aH bH >H ax bx >x aT bT >T ");
  chain_.ResponseHeaders(&headers_, false);
  Body body;
  body.Append("y");
  chain_.ResponseBody(body, true);
  EXPECT_EQ(Journal(), "bh ah >h by! ay! >y! ");
  chain_.End();
  EXPECT_EQ(Journal(), "a(end) b(end) ");
}

TEST_F(FilterChainTest, AFilterThatIsOffForTheRouteSeesNothing) {
  configs_[0]->disabled = true;
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, true);
  EXPECT_EQ(Journal(), "bH! >H! ");
}

TEST_F(FilterChainTest, PausedHeadersStopReadingOnceMuchWaits) {
  b().answers = {Verdict::kPause};
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Send("x", false);
  EXPECT_EQ(paused_, 0);
  Send("012345678", false);
  EXPECT_EQ(paused_, 1);
  Send("y", true);  // was on its way already
  EXPECT_EQ(Journal(), "aH bH ax a012345678 ay! ");
  b().context->ResumeRequest();
  EXPECT_EQ(Journal(), ">H bx012345678y! >x012345678y! ");
  EXPECT_EQ(paused_, 0);
}

TEST_F(FilterChainTest, PausedBodyGoesOnWhereItStopped) {
  a().answers = {Verdict::kContinue, Verdict::kPause};
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Send("x", false);
  Send("y", false);
  chain_.RequestTrailers(&headers_);
  EXPECT_EQ(Journal(), "aH bH >H ax ");
  a().context->ResumeRequest();
  EXPECT_EQ(Journal(), "bx >x ay by >y aT bT >T ");
}

TEST_F(FilterChainTest, ABufferedBodyIsHandedOnWhole) {
  a().answers = {Verdict::kBuffer, Verdict::kBuffer, Verdict::kContinue};
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Send("x", false);
  EXPECT_EQ(paused_, 0);
  Send("y", true);
  EXPECT_EQ(Journal(), "aH ax ay! bH >H bxy! >xy! ");
}

TEST_F(FilterChainTest, ABufferedBodyMayEndInTrailers) {
  a().answers = {Verdict::kBuffer, Verdict::kBuffer, Verdict::kContinue};
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Send("x", false);
  chain_.RequestTrailers(&headers_);
  EXPECT_EQ(Journal(), "aH ax aT bH >H bx >x bT >T ");
}

TEST_F(FilterChainTest, ABufferThatGrowsTooLargeIsRefused) {
  a().answers = {Verdict::kBuffer, Verdict::kBuffer, Verdict::kBuffer};
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Send("0123456789", false);
  Send("x", false);
  Send("y", true);
  EXPECT_EQ(Journal(), "aH a0123456789 ax 413 ");
}

TEST_F(FilterChainTest, OverHttp2OneFrameIsNeverTooLarge) {
  info_.protocol = Protocol::kHttp2;
  a().answers = {Verdict::kBuffer, Verdict::kContinue};
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Send("0123456789x", true);
  EXPECT_EQ(Journal(), "aH a0123456789x! bH >H b0123456789x! >0123456789x! ");
}

TEST_F(FilterChainTest, AReplyGoesBackThroughTheFiltersThatSawTheRequest) {
  a().in_hook = [](FilterContext* context) { context->Reply(LocalReply()); };
  a().answers = {Verdict::kReplied};
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Send("x", true);
  EXPECT_EQ(Journal(), "aH reply ah! >h! ");
}

TEST_F(FilterChainTest, ResumingInsideAHookCounts) {
  a().in_hook = [](FilterContext* context) { context->ResumeRequest(); };
  a().answers = {Verdict::kPause};
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, true);
  EXPECT_EQ(Journal(), "aH! bH! >H! ");
  EXPECT_EQ(paused_, 0);
}

TEST_F(FilterChainTest, AResponseFilterMayReplaceTheResponse) {
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, true);
  b().response_answers = {Verdict::kPause};
  chain_.ResponseHeaders(&headers_, false);
  EXPECT_EQ(response_paused_, 1);
  Journal();
  b().context->Reply(LocalReply());
  EXPECT_EQ(Journal(), "reply bh! ah! >h! ");
  EXPECT_EQ(response_paused_, 0);
}

TEST_F(FilterChainTest, TimersFireOnceAndNotAfterTheEnd) {
  chain_.Build(configured_);
  a().context->StartTimer(1);
  chain_.Stop();
  EXPECT_EQ(Journal(), "a(end) b(end) ");
  EXPECT_EQ(loop_.timers().armed(), 0u);
}

// A filter that takes the pieces and hands on by itself.
TEST_F(FilterChainTest, WhatAFilterInjectsGoesToTheNextOnes) {
  chain_.Build(configured_);
  a().answers = {Verdict::kBuffer, Verdict::kBuffer};
  chain_.RequestHeaders(&headers_, false);
  Send("", true);
  Journal();
  Body nothing;
  a().context->InjectRequest(nothing);
  EXPECT_EQ(Journal(), "bH >H ") << "headers that it held go first, and an empty piece is none";
  Body piece;
  piece.Append("in");
  a().context->InjectRequest(piece);
  EXPECT_EQ(Journal(), "bin >in ");
  a().context->ResumeRequest();
  EXPECT_EQ(Journal(), "b! >! ");
}

TEST_F(FilterChainTest, AFilterGivesAMessageTrailers) {
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Journal();
  a().in_hook = [](FilterContext* context) { context->AddRequestTrailers().Add("x", "y"); };
  Send("body", true);
  EXPECT_EQ(Journal(), "abody! bbody >body bT >T ") << "the end has become trailers";
}

TEST_F(FilterChainTest, TrailersAddedToAHeldMessageComeWithItsRelease) {
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  Journal();
  a().answers = {Verdict::kBuffer};
  Send("body", true);
  a().context->AddRequestTrailers().Add("x", "y");
  Journal();
  a().context->ResumeRequest();
  EXPECT_EQ(Journal(), "bbody >body bT >T ");
}

TEST_F(FilterChainTest, AFilterThatHoldsTheSenderBackLetsGoWithTheReply) {
  chain_.Build(configured_);
  chain_.RequestHeaders(&headers_, false);
  a().context->HoldRequest(true);
  a().context->HoldRequest(true);
  EXPECT_EQ(paused_, 1);
  LocalReply reply;
  a().context->Reply(reply);
  EXPECT_EQ(paused_, 0);
}

}  // namespace
}  // namespace remora::proxy
