/// The operations that a decoder's forward and backward pass, its loss and its optimizer are made
/// of.
///
/// An implementation writes into buffers that the caller gives; it allocates nothing in an op
/// beyond scratch that it owns. Letters: B batch, T tokens, D model width, H query heads, K
/// key/value heads, h head width, F MLP width, V vocabulary, R rank. "Activation type" is
/// `precision.activationType`.
///
/// What is said of bfloat16 below holds for float16 where that is the precision; no op sees both.
///
/// Ops don't throw: a device backend records its first failure, does nothing from then on, and
/// throws it from `synchronize` and `read`. Shapes and types that don't fit are our own misuse and
/// stop with `precondition`.
///
/// Unless an op says otherwise, sums accumulate in float32, outputs don't alias inputs, and results
/// are the same bits whatever the number of threads.
package protocol Backend: AnyObject, Sendable {
    var name: String { get }
    var precision: Precision { get }
    /// Whether a tensor's address is one that the host may read: false for cards.
    var usesHostMemory: Bool { get }

    // MARK: Memory

    /// Uninitialised memory, aligned to 64 bytes at least. Throws when there is none left.
    func allocate(byteCount: Int) throws -> Storage
    /// Storage with the content of host bytes that stay as they are while `owner` lives: a mapped
    /// file. Host backends use the bytes in place, others copy them. Not to be written to.
    func adopt(_ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable) throws -> Storage
    /// Copies host bytes into `tensor` (`bytes.count == tensor.byteCount`).
    func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor)
    /// Waits for the work before it and copies `tensor` to host memory.
    func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws
    func zero(_ tensor: Tensor)
    /// Copies elements, converting between float32 and bfloat16 (round to nearest even) when the
    /// types differ.
    func copy(_ source: Tensor, to destination: Tensor)
    /// Copies the elements of another device's tensor, once its work so far is done; the other's later work waits for
    /// that. Of the same kind of backend, type and number of elements.
    func fetch(_ source: Tensor, from other: any Backend, into destination: Tensor)
    func synchronize() throws

    /// Host memory that slots are filled from: page-locked where the device is a card. The host may write to it.
    func allocatePinned(byteCount: Int) throws -> Storage
    /// Device memory that is filled from such memory while the device computes.
    func makeSlot(byteCount: Int) throws -> any StreamSlot

    // MARK: Products

    /// Runs independent multiplications: no output may overlap an operand of another one, or its addend.
    ///
    /// Each is `output = sum of products + addend + bias`: `[M, N]`, float32 or bfloat16, rounded
    /// once.
    /// Every product is `scale * op(a) * op(b)` with `op(a)` `[M, K_i]` and `op(b)` `[K_i, N]`; in
    /// bfloat16 precision both operands are rounded to bfloat16 first (float32 operands too) and
    /// `scale` is applied in float32 to that product's sums. `addend` `[M, N]` float32 or bfloat16
    /// may be `output` itself. `bias` is `[N]`. 2 M N K flops a product. Those that have a left
    /// operand in common share the work of rounding and packing it.
    ///
    /// A product's sum runs over K in an order that depends neither on threads nor on M, with one
    /// exception: up to `fewRows` rows may be summed in another order than more rows are. So a row
    /// has the same bits in any batch of up to `fewRows` rows, and the same bits in any larger one.
    func multiply(_ multiplications: [Multiplication])

    // MARK: Layers

    /// `output[t] = table[ids[t]]`. ids int32 `[T]`, table float32 or bfloat16 `[V, D]`, output
    /// float32 `[T, D]`.
    func embed(ids: Tensor, table: Tensor, into output: Tensor)

    /// RMS norm (Zhang & Sennrich 2019) over the last axis: `output = input * inverseRMS * weight`,
    /// `inverseRMS = 1 / sqrt(mean(input^2) + epsilon)`.
    /// input float32 or bfloat16 `[T, D]`, weight float32 `[D]`, output activation type `[T, D]`,
    /// inverseRMS float32 `[T]` (saved for backward).
    func rmsNorm(
        _ input: Tensor, weight: Tensor, epsilon: Float, output: Tensor, inverseRMS: Tensor)
    /// `inputGradient (+)= inverseRMS * (w*dy - x * inverseRMS^2 * mean(w*dy*x))`. The weight is
    /// frozen. input as in forward; gradients float32 or bfloat16. `accumulating` adds to
    /// `inputGradient`.
    func rmsNormBackward(
        _ outputGradient: Tensor, input: Tensor, weight: Tensor, inverseRMS: Tensor,
        accumulating: Bool,
        inputGradient: Tensor)

    /// Rotary position embedding (Su et al. 2021) in place, in the "rotate half" layout of
    /// transformers: element i of a head is paired with i + h/2. `heads` is `[T, heads, h]`,
    /// activation type; positions int32 `[T]`; cosine, sine float32 `[positions, h/2]`. `inverse`
    /// rotates back (the backward pass).
    func rope(_ heads: Tensor, positions: Tensor, cosine: Tensor, sine: Tensor, inverse: Bool)

    /// Causal attention over flattened sequences, grouped heads (query head i reads key head i /
    /// (H/K)).
    ///
    /// query, output `[Tq, H, h]`, key, value `[Tk, K, h]`, activation type, h a multiple of 8;
    /// logSumExp float32 `[H, Tq]` of the scaled scores. In sequence s, query i sees keys `0 ...
    /// keyCount - queryCount + i`. Softmax in float32. No `[T, T]` buffer (FlashAttention-2, Dao
    /// 2023).
    func attention(
        query: Tensor, key: Tensor, value: Tensor, sequences: SequenceTable, scale: Float,
        output: Tensor,
        logSumExp: Tensor)
    /// Gradients in the activation type; scores are recomputed from logSumExp. Only for tables with
    /// equal query and key counts.
    func attentionBackward(
        _ outputGradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
        logSumExp: Tensor,
        sequences: SequenceTable, scale: Float, queryGradient: Tensor, keyGradient: Tensor,
        valueGradient: Tensor)

    /// `output = silu(gate) * up` (Shazeer 2020), all `[T, F]`, activation type. `output` may be
    /// `gate` or `up`.
    func swiglu(gate: Tensor, up: Tensor, output: Tensor)
    /// Gradients in the activation type; each may overwrite the tensor that it belongs to.
    func swigluBackward(
        _ outputGradient: Tensor, gate: Tensor, up: Tensor, gateGradient: Tensor, upGradient: Tensor
    )

    /// `output = input * mask / (1 - probability)`, mask from `DropoutKey` by element position.
    /// Same shape and type, or float32 to bfloat16. May be in place.
    func dropout(_ input: Tensor, probability: Float, key: DropoutKey, output: Tensor)
    /// `output += input * mask / (1 - probability)`; the backward of dropout into a shared
    /// gradient. output float32.
    func addDropout(_ input: Tensor, probability: Float, key: DropoutKey, to output: Tensor)

    /// `output += input`; float32 or bfloat16 each.
    func add(_ input: Tensor, to output: Tensor)
    /// `output[i] = input[rows[i]]`, rows int32; converts types as `copy` does.
    func gatherRows(_ input: Tensor, rows: Tensor, into output: Tensor)
    /// `output[rows[i]] = input[i]`, rows distinct; converts types as `copy` does. Rows not named
    /// keep their values.
    func scatterRows(_ input: Tensor, rows: Tensor, into output: Tensor)

    // MARK: Loss

    /// Scratch that `linearCrossEntropy` needs for `rows` rows.
    func linearCrossEntropyWorkspace(rows: Int, width: Int, vocabulary: Int) -> Int
    /// Logits `hidden * head^T`, log-softmax and loss gradient, chunked over rows: the full `[N,
    /// V]` never exists.
    ///
    /// hidden activation type `[N, D]`; head `[V, D]`; targets int32 `[N]`; logProbabilities,
    /// entropies, isTop float32 `[N]` (log p(target); entropy in nats; 1 where the target is the
    /// first largest logit). gradient float32 `[N, D]` = scale * dLoss/dhidden, overwritten, or nil
    /// for evaluation. Loss per row: nll `-log p`; dft `-sg(p) log p` (Wu et al. 2025), so its
    /// gradient is p times nll's. workspace uint8.
    func linearCrossEntropy(
        hidden: Tensor, head: FrozenMatrix, targets: Tensor, loss: LossKind, scale: Float,
        logProbabilities: Tensor,
        entropies: Tensor, isTop: Tensor, gradient: Tensor?, workspace: Tensor)

    // MARK: Optimizer

    /// Sum of squares of all elements, in double precision by fixed blocks.
    func sumOfSquares(_ tensor: Tensor) throws -> Double
    /// Decoupled AdamW (Loshchilov & Hutter 2019) as torch's, in place; all float32 of one shape.
    func adamW(
        _ parameter: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor,
        step: AdamWStep)
    /// bitsandbytes' 8-bit blockwise AdamW (Dettmers et al. 2022). States uint8 with float32 absmax
    /// per 256 values.
    func adamW8bit(_ parameter: Tensor, gradient: Tensor, state: Adam8bitState, step: AdamWStep)
}

extension Backend {
    package var usesHostMemory: Bool { true }

    /// One multiplication alone.
    package func multiply(
        _ products: [Product], adding addend: Tensor?, bias: Tensor?, into output: Tensor
    ) {
        multiply([Multiplication(products, adding: addend, bias: bias, into: output)])
    }
}

/// `output = sum of products + addend + bias`; see `Backend.multiply`.
package struct Multiplication: Sendable {
    package var products: [Product]
    package var addend: Tensor?
    package var bias: Tensor?
    package var output: Tensor

    package init(
        _ products: [Product], adding addend: Tensor? = nil, bias: Tensor? = nil,
        into output: Tensor
    ) {
        (self.products, self.addend, self.bias, self.output) = (products, addend, bias, output)
    }
}

/// One term of `Backend.multiply`: `scale * op(a) * op(b)`.
package struct Product: Sendable {
    package var a: Tensor
    package var aTransposed: Bool
    package var b: FrozenMatrix
    package var bTransposed: Bool
    package var scale: Float

    package init(
        _ a: Tensor, aTransposed: Bool = false, _ b: FrozenMatrix, bTransposed: Bool = false,
        scale: Float = 1
    ) {
        (self.a, self.aTransposed, self.b, self.bTransposed, self.scale) = (
            a, aTransposed, b, bTransposed, scale
        )
    }

    /// `x * w^T`: a linear layer's forward, w `[out, in]`.
    package static func forward(_ x: Tensor, _ w: FrozenMatrix, scale: Float = 1) -> Product {
        Product(x, w, bTransposed: true, scale: scale)
    }
    /// `dy * w`: a linear layer's backward into its input.
    package static func backward(_ dy: Tensor, _ w: FrozenMatrix, scale: Float = 1) -> Product {
        Product(dy, w, scale: scale)
    }
    /// `a^T * b`: a weight gradient, both `[T, *]`.
    package static func gradient(_ a: Tensor, _ b: Tensor, scale: Float = 1) -> Product {
        Product(a, aTransposed: true, .dense(b), scale: scale)
    }
}

/// Where each sequence's queries and keys lie in the flattened tensors.
package struct SequenceTable: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package var queryOffset: Int
        package var queryCount: Int
        package var keyOffset: Int
        package var keyCount: Int
        package init(queryOffset: Int, queryCount: Int, keyOffset: Int, keyCount: Int) {
            (self.queryOffset, self.queryCount) = (queryOffset, queryCount)
            (self.keyOffset, self.keyCount) = (keyOffset, keyCount)
        }
    }
    package var entries: [Entry]
    package init(entries: [Entry]) { self.entries = entries }
    /// Self-attention over sequences of these lengths laid end to end.
    package init(lengths: [Int]) {
        var offset = 0
        entries = lengths.map { length in
            defer { offset += length }
            return Entry(
                queryOffset: offset, queryCount: length, keyOffset: offset, keyCount: length)
        }
    }
}

/// `Backend.multiply` may sum products of up to this many rows in an order of their own: decoding
/// text is made of them, and reads weights as they lie in memory.
package let fewRows = 16

package enum LossKind: String, Sendable { case nll, dft }

/// Names one dropout mask. Element i of the tensor takes 16 random bits: half-word `i % 8` of
/// Philox4x32-10 (Salmon et al. 2011) with key `seed` (low word first) and counter
/// `(i / 8 low, i / 8 high, stream low, stream high)`; half-words in order low, high of words
/// 0...3. The element is dropped when they are below `round(probability * 65536)`.
package struct DropoutKey: Sendable, Equatable {
    package var seed: UInt64
    package var stream: UInt64
    package init(seed: UInt64, stream: UInt64) { (self.seed, self.stream) = (seed, stream) }
}

/// The numbers of one optimizer step. `gradientScale` multiplies the gradient first (clipping).
/// Double, as the libraries keep them: `1 - 0.999` in float32 is off by 1e-5.
package struct AdamWStep: Sendable {
    package var learningRate: Double
    package var beta1: Double
    package var beta2: Double
    package var epsilon: Double
    package var weightDecay: Double
    /// Counted from 1.
    package var step: Int
    package var gradientScale: Float
    package init(
        learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0,
        step: Int, gradientScale: Float = 1
    ) {
        (self.learningRate, self.beta1, self.beta2, self.epsilon) = (
            learningRate, beta1, beta2, epsilon
        )
        (self.weightDecay, self.step, self.gradientScale) = (weightDecay, step, gradientScale)
    }
}

/// State of `Backend.adamW8bit` for one parameter of n elements: codes uint8 `[n]` of the signed
/// (first moment) and unsigned (second moment) dynamic map, absmax float32 `[ceil(n / 256)]`. Zero
/// codes of both maps at the start (code 127 signed, 0 unsigned; absmax 0).
package struct Adam8bitState: Sendable {
    package var first: Tensor
    package var second: Tensor
    package var firstAbsmax: Tensor
    package var secondAbsmax: Tensor
    package init(first: Tensor, second: Tensor, firstAbsmax: Tensor, secondAbsmax: Tensor) {
        (self.first, self.second, self.firstAbsmax, self.secondAbsmax) = (
            first, second, firstAbsmax, secondAbsmax
        )
    }
}
