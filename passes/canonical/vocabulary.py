"""The operators of the IR; whatever else a program calls is taken apart by torch's own decompositions."""

import torch
from torch._ops import OpOverload

_NAMES = """
convolution.default linear.default batch_norm.default layer_norm.default group_norm.default instance_norm.default
matmul.default einsum.default scaled_dot_product_attention.default embedding.default
relu.default hardtanh.default leaky_relu.default elu.default selu.default celu.default gelu.default silu.default
mish.default
hardswish.default hardsigmoid.default sigmoid.default tanh.default softplus.default prelu.default rrelu.default
glu.default
log_sigmoid.default hardshrink.default softshrink.default threshold.default softmax.int log_softmax.int
add.Tensor sub.Tensor mul.Tensor div.Tensor div.Tensor_mode rsub.Scalar pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar
neg.default abs.default sqrt.default rsqrt.default reciprocal.default exp.default expm1.default log.default
log1p.default log2.default
square.default sign.default floor.default ceil.default round.default trunc.default erf.default sin.default cos.default
tan.default
asin.default acos.default atan.default sinh.default cosh.default asinh.default acosh.default atanh.default
atan2.default
minimum.default maximum.default clamp.default clamp.Tensor clamp_min.default clamp_min.Tensor clamp_max.default
clamp_max.Tensor
fmod.Tensor fmod.Scalar remainder.Tensor remainder.Scalar floor_divide.default floor_divide.Scalar isnan.default
isinf.default
eq.Tensor eq.Scalar ne.Tensor ne.Scalar gt.Tensor gt.Scalar ge.Tensor ge.Scalar lt.Tensor lt.Scalar le.Tensor
le.Scalar
logical_and.default logical_or.default logical_not.default logical_xor.default
bitwise_and.Tensor bitwise_or.Tensor bitwise_xor.Tensor bitwise_not.default
where.self where.ScalarOther where.ScalarSelf where.Scalar masked_fill.Scalar masked_fill.Tensor
mean.dim sum.dim_IntList amax.default amin.default prod.dim_int prod.default var.correction std.correction
logsumexp.default
linalg_vector_norm.default any.dim all.dim any.default all.default max.dim min.dim argmax.default argmin.default
topk.default sort.default cumsum.default
reshape.default flatten.using_ints unflatten.int squeeze.dims unsqueeze.default permute.default expand.default
repeat.default
select.int slice.Tensor split_with_sizes.default cat.default stack.default roll.default flip.default tile.default
index.Tensor index_select.default gather.default tril.default triu.default repeat_interleave.self_int one_hot.default
slice_scatter.default select_scatter.default index_put.default scatter.src scatter.value
max_pool1d.default max_pool2d.default max_pool3d.default avg_pool1d.default avg_pool2d.default avg_pool3d.default
adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_avg_pool3d.default adaptive_max_pool2d.default
pixel_shuffle.default pixel_unshuffle.default channel_shuffle.default native_channel_shuffle.default im2col.default
col2im.default
upsample_nearest1d.vec upsample_nearest2d.vec upsample_nearest3d.vec upsample_linear1d.vec upsample_bilinear2d.vec
upsample_trilinear3d.vec upsample_bicubic2d.vec _upsample_bilinear2d_aa.vec _upsample_bicubic2d_aa.vec
_upsample_nearest_exact2d.vec
grid_sampler.default grid_sampler_2d.default
constant_pad_nd.default reflection_pad1d.default reflection_pad2d.default reflection_pad3d.default
replication_pad1d.default replication_pad2d.default replication_pad3d.default
_to_copy.default arange.default arange.start arange.start_step full.default zeros.default ones.default
full_like.default
zeros_like.default ones_like.default new_zeros.default new_ones.default new_full.default scalar_tensor.default
linspace.default
eye.default empty.memory_format new_empty.default sym_size.int fill.Scalar
lstm.input gru.input rnn_tanh.input rnn_relu.input
"""


def _overloads() -> frozenset[OpOverload]:
    pairs = (name.split(".") for name in _NAMES.split())
    return frozenset(getattr(getattr(torch.ops.aten, packet), overload) for packet, overload in pairs)


VOCABULARY = _overloads()
