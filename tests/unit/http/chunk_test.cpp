#include "docker/http/chunk.h"

#include <gtest/gtest.h>

namespace ebbtide::http {
namespace {

struct Walked {
  std::string data;
  std::size_t bytes = 0;  // of the body, framing and data
  bool ended = false;
  bool failed = false;
};

// Walks body given in two pieces, cut at a place.
Walked walk(std::string_view body, std::size_t cut) {
  ChunkWalker walker;
  Walked walked;
  for (auto piece : {body.substr(0, cut), body.substr(cut)}) {
    while (!piece.empty() && !walker.ended()) {
      const auto step = walker.walk(piece);
      if (!step) {
        walked.failed = true;
        return walked;
      }
      walked.data += piece.substr(step->framing, step->data);
      walked.bytes += step->framing + step->data;
      piece.remove_prefix(step->framing + step->data);
    }
  }
  walked.ended = walker.ended();
  return walked;
}

TEST(ChunkWalker, FindsTheDataWhereverTheBytesAreCut) {
  const std::string body = "5;ext=\"a\"\r\nhello\r\n00B\r\n, world of \r\n3\r\n\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n";
  const std::string next = "GET / HTTP/1.1\r\n";
  for (std::size_t cut = 0; cut <= body.size() + next.size(); ++cut) {
    const auto walked = walk(body + next, cut);
    ASSERT_FALSE(walked.failed) << cut;
    EXPECT_TRUE(walked.ended) << cut;
    EXPECT_EQ(walked.data, "hello, world of \r\n!") << cut;
    EXPECT_EQ(walked.bytes, body.size()) << cut << ": what follows the body is not the body's";
  }
}

TEST(ChunkWalker, AnUnfinishedBodyHasNotEnded) {
  const std::string body = "5\r\nhello\r\n0\r\n\r\n";
  for (std::size_t size = 0; size < body.size(); ++size) EXPECT_FALSE(walk(body.substr(0, size), 0).ended) << size;
}

TEST(ChunkWalker, MalformedFramingIsRefused) {
  for (const std::string body :
       {"-1\r\n", "+1\r\na\r\n", "0x1\r\na\r\n", " 1\r\na\r\n", "1 \r\na\r\n", "\r\n", ";x\r\n", "g\r\n", "1\na\r\n",
        "1\r\nab\r\n", "1\r\na\n0\r\n\r\n", "11111111111111111\r\n", "ffffffffffffffffff\r\n", "1\rXa\r\n"}) {
    bool failed = false;
    for (std::size_t cut = 0; cut <= body.size(); ++cut) failed = walk(body, cut).failed || failed;
    EXPECT_TRUE(failed) << body;
  }
}

TEST(ChunkWalker, EndlessFramingIsRefused) {
  EXPECT_TRUE(walk("1;" + std::string(5000, 'x'), 0).failed);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 2000; ++i) trailers += "X-Trailer: 12345\r\n";
  EXPECT_TRUE(walk(trailers, 0).failed);
}

TEST(ChunkWalker, DataCanBePassedOverUnseen) {
  ChunkWalker walker;
  ASSERT_EQ(walker.walk("100000\r\nab")->data, 2U);
  EXPECT_EQ(walker.left_in_chunk(), 0x100000U - 2);
  walker.skip(0x100000 - 2);
  ASSERT_TRUE(walker.walk("\r\n0\r\n\r\n"));
  EXPECT_TRUE(walker.ended());
}

}  // namespace
}  // namespace ebbtide::http
