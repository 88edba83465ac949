#include "proxy/base/loop.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "proxy/base/mailbox.h"

namespace remora::proxy {
namespace {

class Item final : public Loop::TurnItem {
 public:
  Item(std::string name, std::vector<std::string>* log) : name_(std::move(name)), log_(log) {}
  void RunAtEndOfTurn() override {
    log_->push_back(name_);
    if (again > 0) {
      --again;
      loop->AtEndOfTurn(this);
    }
  }
  int again = 0;
  Loop* loop = nullptr;

 private:
  std::string name_;
  std::vector<std::string>* log_;
};

class Dying final : public Mortal {
 public:
  explicit Dying(std::vector<std::string>* log) : log_(log) {}
  ~Dying() override { log_->push_back("dead"); }

 private:
  std::vector<std::string>* log_;
};

TEST(LoopTest, QueuedWorkRunsInOrderThenTheBuriedDie) {
  std::vector<std::string> log;
  Loop loop;
  Item first("first", &log);
  Item second("second", &log);
  loop.graveyard().Bury(std::make_unique<Dying>(&log));
  loop.AtEndOfTurn(&first);
  loop.AtEndOfTurn(&second);
  loop.AtEndOfTurn(&first);  // once is enough
  EXPECT_TRUE(first.queued());
  loop.RunOnce(false);
  EXPECT_EQ(log, (std::vector<std::string>{"first", "second", "dead"}));
}

TEST(LoopTest, AnItemMayQueueItselfAgainInTheSameTurn) {
  std::vector<std::string> log;
  Loop loop;
  Item item("x", &log);
  item.loop = &loop;
  item.again = 2;
  loop.AtEndOfTurn(&item);
  loop.RunOnce(false);
  EXPECT_EQ(log.size(), 3u);
}

TEST(LoopTest, ADestroyedItemDoesNotRun) {
  std::vector<std::string> log;
  Loop loop;
  {
    Item item("x", &log);
    loop.AtEndOfTurn(&item);
  }
  loop.RunOnce(false);
  EXPECT_TRUE(log.empty());
}

TEST(LoopTest, RunsUntilStopped) {
  Loop loop;
  Mailbox mailbox(&loop);
  std::thread other([&] { mailbox.Send([&] { loop.Stop(); }); });
  loop.Run();
  other.join();
  SUCCEED();
}

TEST(MailboxTest, LettersOfEachSenderAreOpenedInOrder) {
  constexpr int kSenders = 4;
  constexpr int kLetters = 2000;
  Loop loop;
  Mailbox mailbox(&loop);
  std::vector<int> last(kSenders, -1);
  int opened = 0;
  bool in_order = true;
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      for (int i = 0; i < kLetters; ++i) {
        mailbox.Send([&, sender, i] {
          in_order = in_order && last[sender] == i - 1;
          last[sender] = i;
          if (++opened == kSenders * kLetters) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(opened, kSenders * kLetters);
  EXPECT_TRUE(in_order);
}

TEST(MailboxTest, ClosedItOpensNothingMore) {
  Loop loop;
  auto mailbox = std::make_unique<Mailbox>(&loop);
  int opened = 0;
  auto held = std::make_shared<int>(1);
  mailbox->Send([&] {
    ++opened;
    mailbox->Close();
  });
  mailbox->Send([&opened, held] { ++opened; });
  loop.RunOnce(false);
  EXPECT_EQ(opened, 1);
  mailbox->Send([&] { ++opened; });
  loop.RunOnce(false);
  EXPECT_EQ(opened, 1);
  mailbox.reset();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(LoopTest, KnowsItsThread) {
  Loop loop;
  EXPECT_TRUE(loop.OnThread());
  loop.RunOnce(false);
  EXPECT_TRUE(loop.OnThread());
  bool elsewhere = true;
  std::thread([&] { elsewhere = loop.OnThread(); }).join();
  EXPECT_FALSE(elsewhere);
}

}  // namespace
}  // namespace remora::proxy
