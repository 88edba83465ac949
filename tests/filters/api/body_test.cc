#include "filters/api/body.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace remora {
namespace {

TEST(Body, AppendsAndConsumes) {
  Body body;
  EXPECT_TRUE(body.empty());
  EXPECT_EQ(body.front(), "");
  body.Append("hello ");
  body.AppendStatic("static ");
  body.Append("world");
  EXPECT_EQ(body.ToString(), "hello static world");
  body.Consume(8);
  EXPECT_EQ(body.ToString(), "atic world");
  body.Consume(10);
  EXPECT_TRUE(body.empty());
  body.Append("again");
  EXPECT_EQ(body.ToString(), "again");
}

TEST(Body, MovesWithoutCopying) {
  Body from;
  from.Append(std::string(5000, 'a'));
  const char* bytes = from.front().data();
  Body to;
  to.Append(from);
  EXPECT_TRUE(from.empty());
  EXPECT_EQ(to.front().data(), bytes);
  Body part;
  part.Append("x");
  part.Append(to, 3000);
  EXPECT_EQ(part.size(), 3001u);
  EXPECT_EQ(to.size(), 2000u);
  EXPECT_EQ(to.front().data(), bytes + 3000);
}

TEST(Body, SmallPiecesAreGathered) {
  Body to;
  to.Append("start ");
  for (int i = 0; i < 100; ++i) {
    Body piece;
    piece.Append("piece");
    to.Append(piece);
  }
  iovec vectors[4];
  EXPECT_EQ(to.FillIovecs(vectors, 4), 1u);
  EXPECT_EQ(to.size(), 506u);
}

TEST(Body, SharedBytesOutliveTheirFirstOwner) {
  Body copy;
  {
    Body original;
    original.Append(std::string(3000, 'q'));
    copy.AppendShared(original);
    original.Append("not shared");
    copy.Append("own");
    EXPECT_EQ(original.ToString(), std::string(3000, 'q') + "not shared");
  }
  EXPECT_EQ(copy.ToString(), std::string(3000, 'q') + "own");
}

TEST(Body, SharesPartOfTheFirstRun) {
  Body source;
  source.Append(std::string(2000, 'a') + std::string(2000, 'b'));
  const absl::string_view run = source.front();
  Body to;
  to.AppendSharedRun(source, run.substr(1000, 2000));
  to.AppendSharedRun(source, run.substr(0, 3));
  source.Clear();
  EXPECT_EQ(to.ToString(), std::string(1000, 'a') + std::string(1000, 'b') + "aaa");
}

TEST(Body, Prepends) {
  Body body;
  body.Append("tail");
  body.Prepend("head ");
  EXPECT_EQ(body.ToString(), "head tail");
  Body large;
  large.Append(std::string(40000, 'x'));
  large.Prepend("h");
  EXPECT_EQ(large.size(), 40001u);
  EXPECT_EQ(large.ToString().substr(0, 3), "hxx");
}

TEST(Body, LinearizesAcrossBlocks) {
  Body body;
  std::string text;
  for (int i = 0; i < 10000; ++i) text += std::to_string(i);
  body.Append(text);
  EXPECT_EQ(body.Linearize(5), text.substr(0, 5));
  EXPECT_EQ(body.Linearize(30000), text.substr(0, 30000));
  EXPECT_EQ(body.ToString(), text);
  EXPECT_EQ(body.Linearize(text.size()), text);
  EXPECT_EQ(body.Linearize(0), "");
}

TEST(Body, ReservesAndCommits) {
  Body body;
  Body::Room room = body.Reserve();
  ASSERT_GE(room.size, 1u);
  body.Commit(0);
  EXPECT_TRUE(body.empty());
  room = body.Reserve();
  room.data[0] = 'a';
  body.Commit(1);
  room = body.ReserveWhole(100000);
  ASSERT_GE(room.size, 100000u);
  std::fill_n(room.data, 100000, 'b');
  body.Commit(100000);
  EXPECT_EQ(body.ToString(), "a" + std::string(100000, 'b'));
}

TEST(Body, CommitOfNothingKeepsWhatIsThere) {
  Body body;
  body.Append(std::string(Body::kBlockSize, 'x'));  // the block is full
  body.Reserve();
  body.Commit(0);
  EXPECT_EQ(body.size(), Body::kBlockSize);
  body.Append("y");
  EXPECT_EQ(body.ToString().back(), 'y');
}

TEST(Body, ScattersReads) {
  for (const size_t arrived : {size_t{0}, size_t{1}, size_t{16000}, size_t{20000}, size_t{60000}}) {
    Body body;
    body.Append("before ");
    iovec vectors[8];
    const size_t count = body.ReserveIovecs(vectors, 8, 65536);
    size_t room = 0;
    for (size_t i = 0; i < count; ++i) room += vectors[i].iov_len;
    ASSERT_GE(room, 65536u);
    size_t left = arrived;
    for (size_t i = 0; i < count && left > 0; ++i) {
      const size_t part = std::min(left, vectors[i].iov_len);
      std::fill_n(static_cast<char*>(vectors[i].iov_base), part, static_cast<char>('0' + i));
      left -= part;
    }
    body.CommitIovecs(arrived);
    EXPECT_EQ(body.size(), 7 + arrived);
    EXPECT_EQ(body.ToString().substr(0, 7), "before ");
    body.Append("z");
    EXPECT_EQ(body.ToString().back(), 'z');
  }
}

TEST(Body, FillsIovecsUpToALimit) {
  Body body;
  body.Append(std::string(50000, 'x'));
  iovec vectors[16];
  const size_t count = body.FillIovecs(vectors, 16, 20000);
  size_t total = 0;
  for (size_t i = 0; i < count; ++i) total += vectors[i].iov_len;
  EXPECT_EQ(total, 20000u);
}

// Every operation against a plain string, in random order.
TEST(Body, BehavesAsAString) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Body body, other;
    std::string text, other_text;
    for (int step = 0; step < 60; ++step) {
      const size_t size = random() % (random() % 4 == 0 ? 40000 : 300);
      const std::string piece(size, static_cast<char>('a' + random() % 26));
      switch (random() % 9) {
        case 0:
        case 1:
          body.Append(piece);
          text += piece;
          break;
        case 2: {
          const size_t n = std::min(size, text.size());
          body.Consume(n);
          text.erase(0, n);
          break;
        }
        case 3: {
          const size_t n = std::min(size, text.size());
          other.Append(body, size);
          other_text += text.substr(0, n);
          text.erase(0, n);
          break;
        }
        case 4:
          body.Append(other);
          text += other_text;
          other_text.clear();
          break;
        case 5:
          other.AppendShared(body);
          other_text += text;
          break;
        case 6:
          body.Prepend(piece);
          text.insert(0, piece);
          break;
        case 7: {
          const size_t n = std::min(size, text.size());
          ASSERT_EQ(body.Linearize(n), text.substr(0, n));
          break;
        }
        default:
          if (!body.empty()) {
            const absl::string_view run = body.front();
            const size_t at = random() % run.size();
            const absl::string_view part = run.substr(at, random() % (run.size() - at) + 1);
            other_text += std::string(part);
            other.AppendSharedRun(body, part);
          }
      }
      if (other_text.size() > 2000000) {
        other.Clear();
        other_text.clear();
      }
      if (text.size() > 2000000) {
        body.Clear();
        text.clear();
      }
      ASSERT_EQ(body.size(), text.size());
    }
    ASSERT_EQ(body.ToString(), text);
    ASSERT_EQ(other.ToString(), other_text);
  }
}

}  // namespace
}  // namespace remora
