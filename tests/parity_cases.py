"""What is compared with PyTorch, as calls written once for both libraries: the tables behind docs/parity.md.

In a call, ``x(2, 3)`` is an input of that shape, of normally distributed numbers, whose gradient is compared too, and so are
``positive`` and ``unit`` (from 0 to 1). ``data``, ``chance`` (probabilities), ``classes(n, ...)``, ``flags`` (booleans) and ``signs``
(1 or -1) are constants, and ``array([...])`` is one that is written out.
"""

#: A constructor and a call of what it makes.
LAYERS = """
AdaptiveAvgPool1d(3)(x(2, 3, 8))
AdaptiveAvgPool1d(5)(x(3, 8))
AdaptiveAvgPool2d((3, None))(x(2, 3, 8, 5))
AdaptiveAvgPool2d(2)(x(3, 7, 5))
AdaptiveAvgPool3d((2, 3, 1))(x(2, 3, 4, 5, 3))
AdaptiveAvgPool3d(2)(x(3, 4, 5, 3))
AdaptiveLogSoftmaxWithLoss(18, 20, [5, 12])(x(8, 18), classes(20, 8))
AdaptiveLogSoftmaxWithLoss(6, 20, [5, 12], div_value=2.0, head_bias=True)(x(8, 6), classes(20, 8))
AdaptiveLogSoftmaxWithLoss(18, 20, [5, 12]).log_prob(x(8, 18))
AdaptiveLogSoftmaxWithLoss(18, 20, [5, 12])(x(18), array(7))
AdaptiveMaxPool1d(3, return_indices=True)(x(2, 3, 8))
AdaptiveMaxPool1d(3)(x(3, 8))
AdaptiveMaxPool2d((None, 2), return_indices=True)(x(2, 3, 4, 5))
AdaptiveMaxPool2d(2)(x(3, 4, 5))
AdaptiveMaxPool3d((2, 3, 1), return_indices=True)(x(2, 3, 4, 5, 3))
AdaptiveMaxPool3d(2)(x(3, 4, 5, 3))
AlphaDropout(0.4).eval()(x(3, 4))
AlphaDropout(0.0, inplace=True)(data(3, 4))
AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=False)(x(2, 3, 10))
AvgPool1d(2)(x(3, 7))
AvgPool2d((3, 2), stride=2, padding=1)(x(2, 3, 7, 6))
AvgPool2d(2, ceil_mode=True, divisor_override=3)(x(3, 7, 5))
AvgPool2d(3, 2, 1, True, False)(x(2, 3, 6, 8))
AvgPool3d(2, padding=1, count_include_pad=False)(x(2, 3, 4, 5, 6))
AvgPool3d((1, 2, 3), 2)(x(3, 4, 5, 6))
BatchNorm1d(3)(x(4, 3))
BatchNorm1d(3)(x(4, 3, 5))
BatchNorm1d(3).eval()(x(4, 3, 5))
BatchNorm1d(3, eps=0.1, momentum=None, affine=False)(x(4, 3))
BatchNorm1d(3, track_running_stats=False).eval()(x(4, 3))
BatchNorm1d(3)(x(0, 3, 5))
BatchNorm2d(3)(x(2, 3, 4, 5))
BatchNorm2d(3, momentum=0.3, bias=False).eval()(x(2, 3, 4, 5))
BatchNorm3d(3)(x(2, 3, 2, 4, 5))
BatchNorm3d(3).eval()(x(2, 3, 2, 4, 5))
Bilinear(3, 4, 2)(x(2, 5, 3), x(2, 5, 4))
Bilinear(3, 4, 2, bias=False)(x(3), x(4))
CELU(0.7)(x(3, 4))
CELU(inplace=True)(data(3, 4))
ChannelShuffle(2)(x(2, 6, 3, 4))
CircularPad1d((1, 2))(x(2, 3, 5))
CircularPad1d(2)(x(3, 5))
CircularPad2d((1, 2, 0, 3))(x(2, 3, 5, 4))
CircularPad2d(1)(x(3, 5, 4))
CircularPad3d((1, 2, 0, 3, 1, 1))(x(2, 3, 3, 5, 4))
CircularPad3d(1)(x(3, 3, 5, 4))
ConstantPad1d((1, 2), 0.5)(x(2, 3, 5))
ConstantPad1d((-1, 2), 0.5)(x(3, 5))
ConstantPad2d((1, 2, -1, 3), 0.5)(x(2, 3, 5, 4))
ConstantPad2d(1, 2.0)(x(3, 5, 4))
ConstantPad3d((1, 2, 0, 3, 1, -1), 0.5)(x(2, 3, 3, 5, 4))
ConstantPad3d(1, 2.0)(x(3, 3, 5, 4))
Conv1d(4, 6, 3)(x(2, 4, 9))
Conv1d(4, 6, 3, 2, 1, 2, 2, False)(x(4, 9))
Conv1d(4, 6, 4, padding='same', padding_mode='circular')(x(2, 4, 9))
Conv1d(4, 6, 3, padding=2, padding_mode='reflect')(x(2, 4, 9))
Conv1d(4, 6, 3, padding='valid')(x(2, 4, 9))
Conv2d(4, 6, 3)(x(2, 4, 7, 6))
Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=2, groups=2, bias=False)(x(2, 4, 9, 8))
Conv2d(4, 8, 3, groups=4, padding='same', dilation=(1, 2))(x(4, 7, 6))
Conv2d(4, 6, 3, padding=(2, 1), padding_mode='reflect')(x(2, 4, 7, 6))
Conv2d(4, 6, 3, padding=(2, 1), padding_mode='replicate', stride=2)(x(4, 7, 6))
Conv2d(4, 6, (4, 3), padding='same', padding_mode='circular')(x(2, 4, 7, 6))
Conv3d(2, 4, 3)(x(2, 2, 4, 5, 6))
Conv3d(2, 4, (1, 2, 3), stride=2, padding=(0, 1, 2), dilation=(1, 2, 1), groups=2)(x(2, 4, 5, 6))
Conv3d(2, 4, 2, padding=1, padding_mode='replicate')(x(2, 2, 4, 5, 6))
Conv3d(2, 4, 3, padding=1, padding_mode='reflect')(x(2, 2, 4, 5, 6))
Conv3d(2, 4, 3, padding='same', padding_mode='circular')(x(2, 2, 4, 5, 6))
ConvTranspose1d(4, 6, 3)(x(2, 4, 9))
ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, False, 2)(x(4, 9))
ConvTranspose1d(4, 6, 3, stride=2)(x(2, 4, 9), output_size=[20])
ConvTranspose2d(4, 6, 3)(x(2, 4, 5, 6))
ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=1, output_padding=(1, 2), groups=2, dilation=(2, 1))(x(4, 5, 6))
ConvTranspose2d(4, 6, 3, stride=2, padding=1)(x(2, 4, 5, 6), output_size=(2, 6, 10, 11))
ConvTranspose3d(2, 4, 3)(x(2, 2, 3, 4, 5))
ConvTranspose3d(2, 4, (1, 2, 3), stride=2, padding=(0, 1, 1), output_padding=1, groups=2)(x(2, 3, 4, 5))
CosineSimilarity()(x(4, 3), x(4, 3))
CosineSimilarity(-1, 0.1)(x(2, 4, 3), x(4, 3))
CrossMapLRN2d(3)(x(2, 6, 4, 5))
CrossMapLRN2d(4, 0.1, 0.5, 2.0)(x(2, 2, 4, 5))
Dropout(0.4).eval()(x(3, 4))
Dropout(0.0, inplace=True)(data(3, 4))
Dropout1d(0.4).eval()(x(3, 4, 5))
Dropout1d(0.4).eval()(x(4, 5))
Dropout2d(0.4).eval()(x(3, 4, 5, 2))
Dropout2d(0.4).eval()(x(4, 5, 2))
Dropout3d(0.4).eval()(x(3, 4, 5, 2, 2))
Dropout3d(0.4).eval()(x(4, 5, 2, 2))
ELU(0.7)(x(3, 4))
ELU(inplace=True)(data(3, 4))
Embedding(7, 3)(classes(7, 2, 5))
Embedding(7, 3, padding_idx=-2, scale_grad_by_freq=True)(classes(7, 20))
Embedding(7, 3, max_norm=0.8, norm_type=1.0)(classes(7, 4))
Embedding.from_pretrained(data(7, 3))(classes(7, 2, 5))
Embedding.from_pretrained(data(7, 3), freeze=False, padding_idx=2)(classes(7, 2, 5))
Embedding(7, 3, _weight=data(7, 3), _freeze=True)(classes(7, 2, 5))
EmbeddingBag(7, 3)(classes(7, 4, 5))
EmbeddingBag(7, 3, mode='max')(classes(7, 9), array([0, 2, 2, 6]))
EmbeddingBag(7, 3, mode='sum', include_last_offset=True, padding_idx=1)(classes(7, 9), array([0, 2, 2, 9]))
EmbeddingBag(7, 3, mode='sum')(classes(7, 4, 5), per_sample_weights=x(4, 5))
EmbeddingBag(7, 3, max_norm=0.8)(classes(7, 4, 5))
EmbeddingBag(7, 3, scale_grad_by_freq=True)(classes(7, 4, 5))
EmbeddingBag.from_pretrained(data(7, 3), mode='sum')(classes(7, 4, 5))
FeatureAlphaDropout(0.4).eval()(x(3, 4, 5))
Flatten()(x(2, 3, 4, 5))
Flatten(0, -2)(x(2, 3, 4, 5))
Fold((5, 6), (2, 3), padding=1, stride=2)(x(2, 18, 9))
Fold((5, 6), 2, dilation=(2, 1))(x(12, 15))
FractionalMaxPool2d(2, output_size=(3, 4), _random_samples=chance(2, 3, 2))(x(2, 3, 7, 8))
FractionalMaxPool2d((2, 3), output_ratio=(0.5, 0.6), return_indices=True, _random_samples=chance(1, 3, 2))(x(3, 9, 8))
FractionalMaxPool3d(2, output_size=(2, 3, 4), _random_samples=chance(2, 3, 3))(x(2, 3, 5, 7, 8))
FractionalMaxPool3d((2, 3, 1), output_ratio=0.5, return_indices=True, _random_samples=chance(1, 3, 3))(x(3, 9, 8, 6))
GELU()(x(3, 4))
GELU('tanh')(x(3, 4))
GLU()(x(3, 4))
GLU(0)(x(6, 4))
GRU(3, 4)(x(5, 2, 3))
GRU(3, 4, 2, batch_first=True, bidirectional=True)(x(2, 5, 3), x(4, 2, 4))
GRU(3, 4, bias=False)(x(5, 3), x(1, 4))
GRU(3, 4, 2, dropout=0.5).eval()(x(5, 2, 3))
GRUCell(3, 4)(x(2, 3), x(2, 4))
GRUCell(3, 4, bias=False)(x(3))
GroupNorm(2, 6)(x(3, 6, 4, 5))
GroupNorm(3, 6, eps=0.1, affine=False)(x(3, 6))
GroupNorm(3, 6, bias=False)(x(3, 6, 4))
Hardshrink(0.3)(x(3, 4))
Hardsigmoid()(x(3, 4))
Hardsigmoid(inplace=True)(data(3, 4))
Hardswish()(x(3, 4))
Hardswish(True)(data(3, 4))
Hardtanh(-0.5, 0.7)(x(3, 4))
Hardtanh(inplace=True)(data(3, 4))
Identity(54, unused=1)(x(3, 4))
InstanceNorm1d(3)(x(2, 3, 5))
InstanceNorm1d(3, affine=True, track_running_stats=True)(x(3, 5))
InstanceNorm1d(3, affine=True, track_running_stats=True).eval()(x(2, 3, 5))
InstanceNorm2d(3, eps=0.1, momentum=0.3, affine=True, track_running_stats=True)(x(2, 3, 4, 5))
InstanceNorm2d(3)(x(3, 4, 5))
InstanceNorm3d(3, affine=True)(x(2, 3, 2, 4, 5))
InstanceNorm3d(3)(x(3, 2, 4, 5))
LPPool1d(2, 3, 2, ceil_mode=True)(x(2, 3, 9))
LPPool1d(3, 2)(positive(3, 9))
LPPool2d(2, (3, 2), stride=2)(x(2, 3, 7, 6))
LPPool2d(1.5, 2)(positive(3, 7, 6))
LPPool3d(2, 2, ceil_mode=True)(x(2, 3, 4, 5, 3))
LPPool3d(3, (1, 2, 2))(positive(3, 4, 5, 3))
LSTM(3, 4)(x(5, 2, 3))
LSTM(3, 4, 2, batch_first=True, bidirectional=True)(x(2, 5, 3), (x(4, 2, 4), x(4, 2, 4)))
LSTM(3, 4, bias=False)(x(5, 3), (x(1, 4), x(1, 4)))
LSTM(3, 4, 2, proj_size=2)(x(5, 2, 3))
LSTM(3, 4)(nn.utils.rnn.pack_padded_sequence(x(5, 3, 3), [5, 3, 1]))
LSTMCell(3, 4)(x(2, 3), (x(2, 4), x(2, 4)))
LSTMCell(3, 4, bias=False)(x(3))
LayerNorm(4)(x(2, 3, 4))
LayerNorm([3, 4], eps=0.1, bias=False)(x(2, 3, 4))
LayerNorm((3, 4), elementwise_affine=False)(x(2, 3, 4))
LazyBatchNorm1d()(x(4, 3, 5))
LazyBatchNorm1d(affine=False)(x(4, 3))
LazyBatchNorm2d(0.1)(x(2, 3, 4, 5))
LazyBatchNorm3d(track_running_stats=False)(x(2, 3, 2, 4, 5))
LazyConv1d(6, 3)(x(2, 4, 9))
LazyConv2d(6, 3, stride=2, groups=2, bias=False)(x(2, 4, 7, 6))
LazyConv3d(4, 2)(x(2, 2, 4, 5, 6))
LazyConvTranspose1d(6, 3)(x(2, 4, 9))
LazyConvTranspose2d(6, 3, stride=2, output_padding=1)(x(4, 5, 6))
LazyConvTranspose3d(4, 2, bias=False)(x(2, 2, 3, 4, 5))
LazyInstanceNorm1d(affine=True)(x(2, 3, 5))
LazyInstanceNorm2d()(x(2, 3, 4, 5))
LazyInstanceNorm3d(affine=True, track_running_stats=True)(x(2, 3, 2, 4, 5))
LazyLinear(5)(x(2, 3, 4))
LazyLinear(5, bias=False)(x(4))
LeakyReLU(0.2)(x(3, 4))
LeakyReLU(inplace=True)(data(3, 4))
Linear(4, 5)(x(2, 3, 4))
Linear(4, 5, bias=False)(x(4))
LocalResponseNorm(3)(x(2, 6, 5))
LocalResponseNorm(4, 0.1, 0.5, 2.0)(x(2, 6, 4, 5))
LogSigmoid()(x(3, 4))
LogSoftmax(1)(x(2, 3, 4))
MaxPool1d(3, 2, 1, 2, return_indices=True, ceil_mode=True)(x(2, 3, 10))
MaxPool1d(2)(x(3, 7))
MaxPool2d((3, 2), stride=2, padding=(1, 0), dilation=(1, 2))(x(2, 3, 7, 6))
MaxPool2d(2, ceil_mode=True, return_indices=True)(x(3, 7, 5))
MaxPool3d(2, padding=1, return_indices=True)(x(2, 3, 4, 5, 6))
MaxPool3d((1, 2, 3), 2, ceil_mode=True)(x(3, 4, 5, 6))
MaxUnpool1d(2)(x(1, 1, 4), array([[[0, 3, 5, 6]]]))
MaxUnpool2d(2, stride=2)(x(1, 2, 2), array([[[0, 3], [9, 11]]]))
MaxUnpool2d((2, 2))(x(1, 1, 2, 2), array([[[[0, 3], [10, 14]]]]), output_size=(5, 4))
MaxUnpool3d(2)(x(1, 1, 1, 2), array([[[[1, 6]]]]))
Mish()(x(3, 4))
Mish(inplace=True)(data(3, 4))
ModuleDict({'a': nn.Linear(3, 4), 'b': nn.ReLU()})['a'](x(2, 3))
ModuleList([nn.Linear(3, 4), nn.ReLU()])[0](x(2, 3))
MultiheadAttention(6, 2)(x(5, 2, 6), x(4, 2, 6), x(4, 2, 6))
MultiheadAttention(6, 2, batch_first=True)(x(2, 5, 6), x(2, 5, 6), x(2, 5, 6), attn_mask=flags(5, 5, odds=0.3), need_weights=False)
MultiheadAttention(6, 2, bias=False, kdim=3, vdim=4)(x(5, 6), x(4, 3), x(4, 4), average_attn_weights=False)
MultiheadAttention(6, 3, add_bias_kv=True, add_zero_attn=True)(x(5, 2, 6), x(4, 2, 6), x(4, 2, 6), attn_mask=data(5, 4))
MultiheadAttention(6, 2)(x(5, 2, 6), x(4, 2, 6), x(4, 2, 6), key_padding_mask=array([[0, 0, 1, 0], [0, 1, 1, 0]]) > 0)
PReLU()(x(3, 4))
PReLU(4, init=0.1)(x(3, 4, 2))
PairwiseDistance()(x(4, 3), x(4, 3))
PairwiseDistance(1.0, 0.1, keepdim=True)(x(3), x(3))
ParameterDict({'a': nn.Parameter(data(3))})['a'].sum()
ParameterList([nn.Parameter(data(3)), nn.Parameter(data(2))])[1].sum()
PixelShuffle(2)(x(2, 8, 3, 4))
PixelShuffle(3)(x(9, 3, 4))
PixelUnshuffle(2)(x(2, 3, 4, 6))
RMSNorm(4)(x(2, 3, 4))
RMSNorm([3, 4], eps=0.1, elementwise_affine=False)(x(2, 3, 4))
RNN(3, 4)(x(5, 2, 3))
RNN(3, 4, 2, 'relu', batch_first=True, bidirectional=True)(x(2, 5, 3), x(4, 2, 4))
RNN(3, 4, bias=False)(x(5, 3))
RNNCell(3, 4)(x(2, 3), x(2, 4))
RNNCell(3, 4, bias=False, nonlinearity='relu')(x(3))
RReLU(0.1, 0.3).eval()(x(3, 4))
RReLU(0.2, 0.2)(x(3, 4))
ReLU()(x(3, 4))
ReLU(inplace=True)(data(3, 4))
ReLU6()(x(3, 4))
ReLU6(inplace=True)(data(3, 4))
ReflectionPad1d((1, 2))(x(2, 3, 5))
ReflectionPad1d(2)(x(3, 5))
ReflectionPad2d((1, 2, 0, 3))(x(2, 3, 5, 4))
ReflectionPad2d(1)(x(3, 5, 4))
ReflectionPad3d((1, 2, 0, 3, 1, 1))(x(2, 3, 3, 5, 4))
ReflectionPad3d(1)(x(3, 3, 5, 4))
ReplicationPad1d((1, 2))(x(2, 3, 5))
ReplicationPad1d(2)(x(3, 5))
ReplicationPad2d((1, 2, 0, 3))(x(2, 3, 5, 4))
ReplicationPad2d(1)(x(3, 5, 4))
ReplicationPad3d((1, 2, 0, 3, 1, 1))(x(2, 3, 3, 5, 4))
ReplicationPad3d(1)(x(3, 3, 5, 4))
SELU()(x(3, 4))
SELU(inplace=True)(data(3, 4))
Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))(x(2, 3))
SiLU()(x(3, 4))
SiLU(inplace=True)(data(3, 4))
Sigmoid()(x(3, 4))
Softmax(1)(x(2, 3, 4))
Softmax(dim=-2)(x(2, 3, 4))
Softmax2d()(x(2, 3, 4, 5))
Softmax2d()(x(3, 4, 5))
Softmin(1)(x(2, 3, 4))
Softplus()(x(3, 4))
Softplus(2.0, 0.5)(x(3, 4))
Softshrink(0.3)(x(3, 4))
Softsign()(x(3, 4))
Tanh()(x(3, 4))
Tanhshrink()(x(3, 4))
Threshold(0.1, 0.7)(x(3, 4))
Threshold(0.1, 0.7, inplace=True)(data(3, 4))
Transformer(6, 2, 1, 1, 8, 0.0)(x(4, 2, 6), x(3, 2, 6))
Transformer(6, 2, 2, 1, 8, 0.0, nn.functional.gelu, batch_first=True, norm_first=True, bias=False)(x(2, 4, 6), x(2, 3, 6))
TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8, 0.0), 2, nn.LayerNorm(6))(x(3, 2, 6), x(4, 2, 6))
TransformerDecoderLayer(6, 2, 8, 0.0)(x(3, 2, 6), x(4, 2, 6))
TransformerDecoderLayer(6, 2, 8, 0.0, 'gelu', 1e-3, True, True)(x(2, 3, 6), x(2, 4, 6), tgt_mask=flags(3, 3, odds=0.2))
TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, 0.0), 2)(x(4, 2, 6))
TransformerEncoderLayer(6, 2, 8, 0.0)(x(4, 2, 6))
TransformerEncoderLayer(6, 2, 8, 0.0, 'gelu', 1e-3, True, True, False)(x(2, 4, 6), src_mask=data(4, 4))
Unflatten(1, (2, 3))(x(4, 6, 5))
Unflatten(-1, (-1, 3))(x(4, 6))
Unfold((2, 3), padding=1, stride=2)(x(2, 3, 5, 6))
Unfold(2, dilation=(2, 1))(x(3, 5, 6))
Upsample(scale_factor=2)(x(2, 3, 4))
Upsample((5, 7), mode='bilinear', align_corners=True)(x(2, 3, 4, 5))
Upsample(scale_factor=(1.5, 2), mode='bicubic')(x(2, 3, 4, 5))
Upsample(scale_factor=1.7, mode='linear', recompute_scale_factor=True)(x(2, 3, 4))
Upsample(scale_factor=1.7, mode='trilinear')(x(2, 3, 4, 3, 2))
UpsamplingBilinear2d(scale_factor=2)(x(2, 3, 4, 5))
UpsamplingBilinear2d((3, 6))(x(2, 3, 4, 5))
UpsamplingNearest2d(scale_factor=2)(x(2, 3, 4, 5))
UpsamplingNearest2d(size=(3, 6))(x(2, 3, 4, 5))
ZeroPad1d((1, 2))(x(2, 3, 5))
ZeroPad1d(2)(x(3, 5))
ZeroPad2d((1, 2, 0, 3))(x(2, 3, 5, 4))
ZeroPad2d(-1)(x(3, 5, 4))
ZeroPad3d((1, 2, 0, 3, 1, 1))(x(2, 3, 3, 5, 4))
ZeroPad3d(1)(x(3, 3, 5, 4))
"""

#: Losses are layers too, and counted by themselves.
LOSSES = """
BCELoss()(unit(4, 3), chance(4, 3))
BCELoss(weight=chance(4, 3), reduction='sum')(unit(4, 3), unit(4, 3))
BCELoss(reduction='none')(unit(), chance())
BCEWithLogitsLoss()(x(4, 3), chance(4, 3))
BCEWithLogitsLoss(weight=chance(4, 3), reduction='none', pos_weight=chance(3))(x(4, 3), unit(4, 3))
CTCLoss()(F.log_softmax(x(7, 2, 4), -1), classes(3, 2, 3) + 1, array([7, 6]), array([3, 2]))
CTCLoss(blank=2, reduction='sum', zero_infinity=True)(F.log_softmax(x(7, 2, 4), -1), array([0, 1, 3, 3, 1]), (7, 6), (3, 2))
CTCLoss(reduction='none')(F.log_softmax(x(7, 4), -1), classes(3, 3) + 1, array(7), array(3))
CosineEmbeddingLoss()(x(4, 3), x(4, 3), signs(4))
CosineEmbeddingLoss(0.3, reduction='none')(x(3), x(3), array(1))
CrossEntropyLoss()(x(4, 3), classes(3, 4))
CrossEntropyLoss()(x(3), array(2))
CrossEntropyLoss(weight=chance(3), ignore_index=1, reduction='sum', label_smoothing=0.1)(x(4, 3, 5), classes(3, 4, 5))
CrossEntropyLoss(reduction='none', label_smoothing=0.2)(x(4, 3, 2, 2), F.softmax(x(4, 3, 2, 2), 1))
CrossEntropyLoss()(x(3), F.softmax(data(3), 0))
GaussianNLLLoss()(x(4, 3), x(4, 3), positive(4, 3))
GaussianNLLLoss(full=True, eps=0.5, reduction='none')(x(4, 3), data(4, 3), positive(4, 1))
GaussianNLLLoss(reduction='sum')(x(4, 3), data(4, 3), positive(4))
HingeEmbeddingLoss()(x(4, 3), signs(4, 3))
HingeEmbeddingLoss(0.3, reduction='none')(x(4), signs(4))
HuberLoss()(x(4, 3), x(4, 3))
HuberLoss('sum', 0.4)(x(4, 3), data(4, 3))
KLDivLoss(reduction='batchmean')(F.log_softmax(x(4, 3), 1), F.softmax(x(4, 3), 1))
KLDivLoss(reduction='none', log_target=True)(F.log_softmax(x(4, 3), 1), F.log_softmax(x(4, 3), 1))
KLDivLoss(reduction='sum')(x(), chance())
L1Loss()(x(4, 3), x(4, 3))
L1Loss(reduction='none')(x(), data())
LinearCrossEntropyLoss(5, 7)(x(6, 5), classes(7, 6))
LinearCrossEntropyLoss(5, 7, bias=True, weight=chance(7), ignore_index=1, label_smoothing=0.1)(x(6, 5), classes(7, 6))
LinearCrossEntropyLoss(5, 7, reduction='none')(x(6, 5), F.softmax(x(6, 7), 1))
LinearCrossEntropyLoss(5, 7, out_features=(2, 3), bias=True, reduction='sum')(x(6, 5), classes(7, 6, 2, 3))
LinearCrossEntropyLoss(5, 7)(x(5), array(3))
MSELoss()(x(4, 3), x(4, 3))
MSELoss(reduction='none')(x(4), data(4))
MarginRankingLoss()(x(4), x(4), signs(4))
MarginRankingLoss(0.3, reduction='none')(x(4, 3), x(4, 3), signs(4, 3))
MultiLabelMarginLoss()(x(2, 4), array([[3, 0, -1, 1], [1, -1, 2, 2]]))
MultiLabelMarginLoss(reduction='none')(x(4), array([3, 0, -1, 1]))
MultiLabelSoftMarginLoss()(x(4, 3), chance(4, 3))
MultiLabelSoftMarginLoss(weight=chance(3), reduction='none')(x(4, 3), chance(4, 3))
MultiMarginLoss()(x(4, 3), classes(3, 4))
MultiMarginLoss(2, 0.5, weight=chance(3), reduction='none')(x(4, 3), classes(3, 4))
MultiMarginLoss()(x(3), array(1))
NLLLoss()(F.log_softmax(x(4, 3), 1), classes(3, 4))
NLLLoss(weight=chance(3), ignore_index=2, reduction='sum')(x(4, 3, 5), classes(3, 4, 5))
NLLLoss(reduction='none')(x(3), array(1))
NLLLoss2d()(x(4, 3, 5, 2), classes(3, 4, 5, 2))
PoissonNLLLoss()(x(4, 3), positive(4, 3))
PoissonNLLLoss(False, True, eps=1e-3, reduction='none')(positive(4, 3), data(4, 3) ** 2 * 3)
SmoothL1Loss()(x(4, 3), x(4, 3))
SmoothL1Loss(reduction='sum', beta=0.3)(x(4, 3), data(4, 3))
SoftMarginLoss()(x(4, 3), signs(4, 3) * 1.0)
SoftMarginLoss(reduction='none')(x(), signs() * 1.0)
TripletMarginLoss()(x(4, 3), x(4, 3), x(4, 3))
TripletMarginLoss(0.5, 1.0, 0.1, True, reduction='none')(x(3), x(3), x(3))
TripletMarginWithDistanceLoss()(x(4, 3), x(4, 3), x(4, 3))
TripletMarginWithDistanceLoss(distance_function=F.pairwise_distance, margin=0.5, swap=True, reduction='sum')(x(4, 3), x(4, 3), x(4, 3))
"""

#: Functions of torch.nn.functional; those that layers and losses call are checked with them, here with arguments that those lack.
FUNCTIONS = """
adaptive_avg_pool1d(x(2, 3, 8), 3)
adaptive_avg_pool2d(x(2, 3, 8, 5), (3, None))
adaptive_avg_pool3d(x(3, 4, 5, 3), 2)
adaptive_max_pool1d(x(2, 3, 8), 3, True)
adaptive_max_pool2d(x(3, 8, 5), (3, None), return_indices=True)
adaptive_max_pool3d(x(2, 3, 4, 5, 3), 2)
affine_grid(x(2, 2, 3), (2, 3, 4, 5))
affine_grid(x(2, 2, 3), [2, 3, 4, 1], align_corners=True)
affine_grid(x(2, 3, 4), (2, 1, 3, 4, 5), align_corners=False)
alpha_dropout(x(3, 4), 0.5, training=False)
avg_pool1d(x(2, 3, 9), 3, 2, 1, True, False)
avg_pool2d(x(3, 7, 6), (3, 2), None, 1, divisor_override=2)
avg_pool3d(x(2, 3, 4, 5, 6), 2, ceil_mode=True)
batch_norm(x(4, 3), data(3), chance(3), x(3), x(3), False, 0.1, 0.01)
batch_norm(x(4, 3, 5), None, None, training=True)
bilinear(x(4, 3), x(4, 2), x(5, 3, 2), x(5))
bilinear(x(0, 2), x(0, 3), x(4, 2, 3), x(4))
bilinear(x(2, 2), x(2, 3), x(0, 2, 3))
binary_cross_entropy(unit(4, 3), chance(4, 3), weight=chance(3))
binary_cross_entropy_with_logits(x(4, 3), chance(4, 3), reduction='sum', pos_weight=chance(3))
celu(x(3, 4), 0.5, inplace=False)
channel_shuffle(x(2, 6, 3), 3)
conv1d(x(2, 4, 9), x(6, 2, 3), x(6), 2, 1, 2, 2)
conv1d(x(4, 9), x(6, 4, 3), padding='same')
conv2d(x(2, 4, 7, 6), x(6, 4, 3, 2), stride=(2, 1), padding=(1, 0))
conv2d(x(4, 7, 6), x(6, 1, 3, 2)[:4], groups=4, padding='valid')
conv3d(x(2, 2, 4, 5, 6), x(4, 2, 2, 3, 2), x(4), padding=1)
conv_transpose1d(x(2, 4, 9), x(4, 3, 3), x(6), 2, 1, 1, 2, 2)
conv_transpose2d(x(4, 5, 6), x(4, 3, 3, 2), stride=2)
conv_transpose2d(x(2, 2, 4, 4), x(2, 2, 4, 5), x(4), (3, 2), (1, 2), (2, 3), 2, 4)
conv_transpose3d(x(2, 2, 3, 4, 5), x(2, 3, 2, 2, 3), x(3), stride=(1, 2, 2))
cosine_embedding_loss(x(4, 3), x(4, 3), signs(4), 0.2)
cosine_similarity(x(4, 3), x(4, 3), dim=0)
cosine_similarity(x(2, 1, 3), x(4, 3), -1, 0.5)
cross_entropy(x(4, 3, 2), classes(3, 4, 2), chance(3), label_smoothing=0.1)
cross_entropy(x(2, 3), array([1, 1]), ignore_index=1)
ctc_loss(F.log_softmax(x(7, 2, 4), -1), classes(3, 2, 3) + 1, [7, 6], [3, 2], 0, 'sum')
dropout(x(3, 4), 0.5, False)
dropout(x(3, 4), 0.0)
dropout1d(x(3, 4, 2), 0.5, False)
dropout2d(x(3, 4, 2, 2), 0.5, False)
dropout3d(x(3, 4, 2, 2, 2), 0.5, False)
elu(x(3, 4), 0.5)
embedding(classes(7, 4), x(7, 3), padding_idx=2)
embedding(classes(7, 20), x(7, 3), scale_grad_by_freq=True)
embedding_bag(classes(7, 4, 5), x(7, 3), mode='max')
embedding_bag(classes(7, 9), x(7, 3), array([0, 4, 4]), mode='sum', per_sample_weights=x(9))
feature_alpha_dropout(x(3, 4, 2), 0.5, False)
fold(x(2, 12, 20), (5, 6), 2)
fractional_max_pool2d(x(2, 3, 7, 8), 2, (3, 4), _random_samples=chance(2, 3, 2))
fractional_max_pool2d(x(3, 7, 8), (3, 2), output_ratio=(0.6, 0.5), return_indices=True, _random_samples=chance(1, 3, 2))
fractional_max_pool2d(x(0, 2, 6, 5), 2, (3, 2), _random_samples=chance(0, 2, 2))
fractional_max_pool3d(x(2, 3, 5, 7, 8), 2, (2, 3, 4), None, True, chance(2, 3, 3))
gaussian_nll_loss(x(4, 3), x(4, 3), positive(4, 3), full=True)
gaussian_nll_loss(x(4, 3), x(4, 3), 0.7)
gaussian_nll_loss(x(4, 3), x(4, 3), positive(1, 3))
gelu(x(3, 4))
gelu(x(3, 4), approximate='tanh')
glu(x(3, 4))
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), align_corners=False)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'bilinear', 'border', True)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'bilinear', 'reflection', False)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'bilinear', 'reflection', True)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'nearest', 'zeros', False)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'nearest', 'border', True)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'nearest', 'reflection', False)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'bicubic', 'zeros', True)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'bicubic', 'border', False)
grid_sample(x(2, 3, 5, 6), x(2, 4, 3, 2), 'bicubic', 'reflection', True)
grid_sample(x(2, 3, 4, 5, 6), x(2, 4, 3, 2, 3), 'bilinear', 'zeros', False)
grid_sample(x(2, 3, 4, 5, 6), x(2, 4, 3, 2, 3), 'bilinear', 'reflection', True)
grid_sample(x(2, 3, 4, 5, 6), x(2, 4, 3, 2, 3), 'nearest', 'border', True)
grid_sample(x(0, 2, 4, 5), x(0, 3, 2, 2), align_corners=False)
group_norm(x(3, 6, 4), 2, x(6), x(6), 0.1)
hardshrink(x(3, 4), 0.2)
hardsigmoid(x(3, 4) * 4)
hardswish(x(3, 4) * 4)
hardtanh(x(3, 4), -0.5, 0.3)
hinge_embedding_loss(x(4, 3), signs(4, 3), 0.5)
huber_loss(x(4, 3), x(4, 3), delta=0.3)
huber_loss(x(4, 3), x(4, 3), 'mean', 0.3, chance(4, 3))
huber_loss(x(4, 3), x(4, 3), 'none', 0.3, weight=chance(4, 3))
instance_norm(x(2, 3, 5))
instance_norm(x(2, 3, 5), data(3), chance(3), x(3), x(3), False, 0.1, 0.01)
interpolate(x(2, 3, 5), 8, mode='linear')
interpolate(x(2, 3, 5, 6), scale_factor=0.6, mode='bilinear', antialias=True)
interpolate(x(2, 3, 5, 6), scale_factor=0.6, mode='bicubic', antialias=True, align_corners=False)
interpolate(x(2, 3, 5, 6), (3, 4), mode='area')
interpolate(x(2, 3, 5, 6), (8, 4), mode='nearest-exact')
interpolate(x(2, 3, 5, 6, 2), 3, mode='trilinear', align_corners=True)
kl_div(x(4, 3), chance(4, 3), reduction='batchmean')
l1_loss(x(4, 3), x(4, 3), reduction='sum')
l1_loss(x(4, 3), x(4, 3), weight=chance(4, 3))
layer_norm(x(2, 3, 4), (3, 4), x(3, 4), x(3, 4), 0.1)
leaky_relu(x(3, 4), 0.3)
linear(x(2, 3, 4), x(5, 4), x(5))
linear(x(2, 3, 4), x(0, 4))
linear_cross_entropy(x(6, 5), x(7, 5), classes(7, 6))
linear_cross_entropy(x(6, 5), x(7, 5), classes(7, 6), linear_bias=x(7), weight=chance(7), reduction='sum', ignore_index=3)
linear_cross_entropy(x(6, 5), x(7, 5), F.softmax(data(6, 7), 1), reduction='none', label_smoothing=0.1)
linear_cross_entropy(x(6, 5), x(7, 2, 3, 5), classes(7, 6, 2, 3), linear_bias=x(7, 2, 3))
local_response_norm(x(2, 6, 5), 3, 0.1)
log_softmax(x(3, 4), 0)
log_softmax(x(0, 3), 0)
logsigmoid(x(3, 4))
lp_pool1d(x(2, 3, 9), 2, 3)
lp_pool2d(x(3, 7, 6), 2, (3, 2), 1, True)
lp_pool3d(positive(2, 3, 4, 5, 3), 3, 2)
margin_ranking_loss(x(4), x(4), signs(4), 0.2)
max_pool1d(x(2, 3, 9), 3, 2, 1, 2, True, True)
max_pool2d(x(3, 7, 6), 2, 1, 1, 1, False, True)
max_pool3d(x(2, 3, 4, 5, 6), 2, return_indices=True)
max_unpool1d(x(1, 3), array([[0, 3, 5]]), 2)
max_unpool2d(x(1, 1, 2), array([[[1, 6]]]), 2, output_size=(3, 5))
max_unpool2d(x(0, 2, 1, 2), classes(4, 0, 2, 1, 2), 2)
max_unpool3d(x(1, 1, 1, 2), array([[[[1, 6]]]]), 2)
mish(x(3, 4))
mse_loss(x(4, 3), x(4, 3), reduction='none')
mse_loss(x(4, 3), x(4, 3), weight=chance(4, 3))
multi_margin_loss(x(4, 3), classes(3, 4), 2, 0.5)
multilabel_margin_loss(x(2, 4), array([[3, 0, -1, 1], [1, -1, 2, 2]]))
multilabel_soft_margin_loss(x(4, 3), chance(4, 3), chance(3))
nll_loss(x(4, 3), classes(3, 4), chance(3), ignore_index=0)
normalize(x(3, 4))
normalize(x(3, 4), 1.0, 0, 0.1)
one_hot(classes(5, 2, 3))
one_hot(classes(5, 2, 3), 7)
pad(x(2, 3, 4), (1, 2))
pad(x(2, 3, 4), (1, 2, -1, 0, 2, 0), 'constant', 0.5)
pad(x(2, 3, 4), (1, 2), 'reflect')
pad(x(2, 3, 4, 5), (1, 2, 0, 3), mode='circular')
pad(x(3, 4, 5), (1, 2, 0, 3), mode='replicate')
pad(x(2, 3, 4, 4), (-4, 5, 3, -4), 'replicate')
pad(x(0, 4, 5), (1, 2), 'reflect')
pairwise_distance(x(4, 3), x(4, 3), 3.0, 0.1, True)
pdist(x(5, 3))
pdist(x(5, 3), 1.0)
pdist(x(5, 3), 3.5)
pdist(x(5, 3), float('inf'))
pdist(x(5, 3), 0.0)
pixel_shuffle(x(2, 8, 3, 4), 2)
pixel_unshuffle(x(2, 3, 4, 6), 2)
poisson_nll_loss(positive(4, 3), data(4, 3) ** 2, False, full=True)
prelu(x(3, 4, 2), x(4))
prelu(x(3), x(1))
relu(x(3, 4), inplace=False)
relu6(x(3, 4) * 4)
rms_norm(x(2, 3, 4), (4,), x(4), 0.1)
rrelu(x(3, 4), 0.1, 0.3)
multi_head_attention_forward(x(5, 2, 6), x(4, 2, 6), x(4, 2, 6), 6, 2, x(18, 6), x(18), x(1, 1, 6), x(1, 1, 6), True, 0.0, x(6, 6), x(6))
multi_head_attention_forward(x(5, 2, 6), x(4, 2, 3), x(4, 2, 4), 6, 2, None, x(18), None, None, False, 0.0, x(6, 6), None, use_separate_proj_weight=True, q_proj_weight=x(6, 6), k_proj_weight=x(6, 3), v_proj_weight=x(6, 4), average_attn_weights=False)
multi_head_attention_forward(x(5, 2, 6), x(4, 2, 6), x(4, 2, 6), 6, 2, x(18, 6), x(18), None, None, True, 0.0, x(6, 6), x(6), static_k=x(4, 7, 3), static_v=x(4, 7, 3), need_weights=False)
scaled_dot_product_attention(x(2, 3, 4, 5), x(2, 3, 6, 5), x(2, 3, 6, 2), is_causal=True)
scaled_dot_product_attention(x(2, 4, 3, 5), x(2, 2, 6, 5), x(2, 2, 6, 2), data(3, 6), 0.0, scale=0.3, enable_gqa=True)
scaled_dot_product_attention(x(3, 5), x(6, 5), x(6, 2), attn_mask=flags(3, 6, odds=0.8))
selu(x(3, 4))
sigmoid(x(3, 4))
silu(x(3, 4))
smooth_l1_loss(x(4, 3), x(4, 3), beta=0.2)
soft_margin_loss(x(4, 3), signs(4, 3) * 1.0)
softmax(x(3, 4), dim=0)
softmax(x(0, 3), 0)
softmax(x(), 0)
softmin(x(3, 4), 1)
softplus(x(3, 4), 2.0, 0.5)
softshrink(x(3, 4), 0.2)
softsign(x(3, 4))
tanh(x(3, 4))
tanhshrink(x(3, 4))
threshold(x(3, 4), 0.1, 0.6)
triplet_margin_loss(x(4, 3), x(4, 3), x(4, 3), 0.5, 1.0, swap=True)
triplet_margin_with_distance_loss(x(4, 3), x(4, 3), x(4, 3), margin=2.0)
unfold(x(2, 3, 5, 6), (2, 3), 1, 1, 2)
"""

#: torch.nn.utils: modules that it changes, with a call of theirs, and functions.
UTILITIES = """
fuse_conv_bn_eval(nn.Conv2d(3, 4, 3).eval(), nn.BatchNorm2d(4).eval())(x(2, 3, 5, 6))
fuse_conv_bn_eval(nn.ConvTranspose1d(3, 4, 3).eval(), nn.BatchNorm1d(4).eval(), True)(x(2, 3, 5))
fuse_linear_bn_eval(nn.Linear(3, 4).eval(), nn.BatchNorm1d(4).eval())(x(2, 3))
spectral_norm(nn.Linear(4, 3))(x(2, 4))
spectral_norm(nn.ConvTranspose2d(3, 4, 2), n_power_iterations=2).eval()(x(2, 3, 4, 4))
weight_norm(nn.Linear(4, 3))(x(2, 4))
weight_norm(nn.Conv1d(3, 4, 2), dim=None)(x(2, 3, 4))
remove_weight_norm(weight_norm(nn.Linear(4, 3)))(x(2, 4))
parametrizations.spectral_norm(nn.Linear(4, 3))(x(2, 4))
parametrizations.spectral_norm(nn.Conv2d(3, 4, 2), n_power_iterations=2).eval()(x(2, 3, 4, 4))
parametrizations.weight_norm(nn.Linear(4, 3))(x(2, 4))
parametrizations.weight_norm(nn.Conv1d(3, 4, 2), dim=1)(x(2, 3, 4))
parametrizations.weight_norm(nn.Linear(4, 3), 'bias', None)(x(2, 4))
parametrizations.orthogonal(nn.Linear(4, 4))(x(2, 4))
parametrizations.orthogonal(nn.Linear(3, 4), orthogonal_map='cayley')(x(2, 3))
parametrizations.orthogonal(nn.Linear(4, 3), orthogonal_map='matrix_exp', use_trivialization=False)(x(2, 4))
prune.l1_unstructured(nn.Linear(4, 3), 'weight', 0.5)(x(2, 4))
prune.remove(prune.random_structured(nn.Linear(4, 3), 'weight', 1, 0), 'weight')(x(2, 4))
parameters_to_vector([x(2, 3), x(4)])
rnn.pad_sequence([x(3, 2), x(5, 2)])
rnn.pad_sequence([x(3, 2), x(5, 2)], True, 0.5, 'left')
rnn.pack_sequence([x(5, 2), x(3, 2)])
rnn.pack_padded_sequence(x(2, 5, 3), [3, 5], True, False)
rnn.pad_packed_sequence(rnn.pack_padded_sequence(x(5, 2, 3), [3, 5], False, False), total_length=7)
rnn.unpad_sequence(x(5, 2, 3) * 1, array([3, 5]))
rnn.unpack_sequence(rnn.pack_sequence([x(5, 2), x(3, 2)]))
"""

#: Optimizers with each of their options.
OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.1, "centered": True}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.9, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (0.01, 0.3), "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 3, "weight_decay": 0.1}),
    ("ASGD", {"t0": 5, "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.3, "beta2_decay": -0.5, "eps": (1e-3, 0.1), "d": 1.5, "weight_decay": 0.1, "maximize": True}),
]

#: These treat no element, and no step, by itself.
FURTHER_OPTIMIZERS = [
    ("LBFGS", {"lr": 0.1, "max_iter": 4}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "max_iter": 5}),
    ("Muon", {}),
    ("Muon", {"lr": 0.1, "weight_decay": 0.3, "momentum": 0.8, "nesterov": False}),
    ("Muon", {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}),
]

#: Schedules of learning rates, for two groups of parameters.
SCHEDULERS = [
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
    ("LambdaLR", {"lr_lambda": [lambda t: 1 / (1 + t), lambda t: t % 3]}),
    ("MultiplicativeLR", {"lr_lambda": lambda t: 0.9 + 0.01 * t}),
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 2, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 25]}),
    ("MultiStepLR", {"milestones": [12, 5], "gamma": 0.3}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.7, "total_iters": 8}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.6, "total_iters": 13}),
    ("ExponentialLR", {"gamma": 0.95}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 20, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 7}),
    ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4}),
    (
        "CyclicLR",
        {"base_lr": [0.01, 0.02], "max_lr": [0.1, 0.3], "step_size_up": 4, "step_size_down": 7, "mode": "triangular2"},
    ),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, "mode": "exp_range", "gamma": 0.9, "base_momentum": 0.6}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, "scale_fn": lambda x: 1 / x, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, "scale_fn": lambda x: 0.9**x, "scale_mode": "iterations"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 50}),
    ("OneCycleLR", {"max_lr": [0.5, 0.3], "epochs": 10, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 50, "three_phase": True, "div_factor": 5, "final_div_factor": 10}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 50, "pct_start": 0.2, "base_momentum": [0.5, 0.6], "max_momentum": 0.9}),
]

#: Arguments of ReduceLROnPlateau.
PLATEAUS = [
    {},
    {"factor": 0.5, "patience": 1, "threshold": 0.1, "cooldown": 2},
    {"mode": "max", "patience": 2, "threshold": 0.05, "threshold_mode": "abs", "min_lr": [0.01, 0.05]},
    {"mode": "max", "patience": 0, "factor": 0.3, "eps": 1e-3},
    {"patience": 3, "threshold_mode": "abs"},
]

#: Schedules that are made of others.
SCHEDULERS_OF_SCHEDULERS = [
    "SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=4), CosineAnnealingLR(optimizer, 6), StepLR(optimizer, 3),"
    " ExponentialLR(optimizer, 0.9)], [4, 10, 17])",
    "ChainedScheduler([ConstantLR(optimizer, 0.1, 4), ExponentialLR(optimizer, 0.9), LinearLR(optimizer, 0.5, total_iters=6),"
    " MultiStepLR(optimizer, [8, 9]), CosineAnnealingLR(optimizer, 5, 0.001), MultiplicativeLR(optimizer, lambda t: 1.1)])",
    "SequentialLR(optimizer, [ExponentialLR(optimizer, 0.9), SWALR(optimizer, [0.01, 0.03], 5, 'linear')], [6])",
]

#: Initialisers of a float32 array ``w``.
INITIALISERS = """
calculate_gain('leaky_relu', 0.3)
calculate_gain('tanh')
constant_(w(30, 20), 2.5)
dirac_(w(6, 4, 3, 3), 2)
eye_(w(30, 20))
kaiming_normal_(w(300, 200), 0, 'fan_out', 'relu')
kaiming_normal_(w(60, 20, 5, 5), 0.3)
kaiming_uniform_(w(300, 200), 0.3)
kaiming_uniform_(w(60, 20, 5, 5), mode='fan_out', nonlinearity='tanh')
normal_(w(300, 200), 1.0, 0.3)
ones_(w(30, 20))
orthogonal_(w(80, 60), 2.0)
orthogonal_(w(60, 20, 3, 3))
sparse_(w(300, 200), 0.25, 0.1)
trunc_normal_(w(300, 200), 0.5, 1.0, -1.0, 1.5)
uniform_(w(300, 200), -2.0, 3.0)
xavier_normal_(w(300, 200), 2.0)
xavier_uniform_(w(60, 20, 5, 5))
zeros_(w(30, 20))
"""

#: Arguments that are not here, and why.
LEFT_OUT = {
    "device": "there are no devices",
    "dtype": "layers are made in float32, and `layer.to(dtype)` converts; a function's result has its input's dtype, and `astype` converts",
    "size_average": "deprecated: `reduction` says it",
    "reduce": "deprecated: `reduction` says it",
    "foreach": "chooses among PyTorch's implementations",
    "fused": "chooses among PyTorch's implementations",
    "capturable": "is for CUDA's graphs",
    "differentiable": "steps are not recorded",
    "out": "results are new arrays",
    "_stacklevel": "is for a warning that there is not",
}

#: What is not here, and why.
MISSING = {
    "Buffer": "buffers are arrays: `register_buffer`",
    "Container": "deprecated: `Module`",
    "DataParallel": "there is one processor's memory, and its cores work together on each operation",
    "LinearCrossEntropyOptions": "the chunks are chosen by themselves",
    "SyncBatchNorm": "joins the statistics of several processes, of which there is one; `BatchNorm2d` is the same there",
    "UninitializedBuffer": "the statistics of lazy layers are empty arrays until the first call",
    "factory_kwargs": "is for `device` and `dtype`",
    "assert_int_or_pair": "checks PyTorch's own arguments",
    "celu_": "`x = celu(x)`",
    "conv_tbc": "`conv1d`, with the axes transposed",
    "elu_": "`x = elu(x)`",
    "hardtanh_": "`x = hardtanh(x)`",
    "leaky_relu_": "`x = leaky_relu(x)`",
    "relu_": "`x = relu(x)`",
    "rrelu_": "`x = rrelu(x)`",
    "selu_": "`x = selu(x)`",
    "threshold_": "`x = threshold(x)`",
    "native_channel_shuffle": "`channel_shuffle`",
    "upsample": "deprecated: `interpolate`",
    "upsample_bilinear": "deprecated: `interpolate`",
    "upsample_nearest": "deprecated: `interpolate`",
    "grouped_mm": "is for GPUs",
    "scaled_grouped_mm": "is for GPUs",
    "scaled_mm": "is for GPUs",
    "convert_conv2d_weight_memory_format": "the order of memory is the kernels' own affair",
    "convert_conv3d_weight_memory_format": "the order of memory is the kernels' own affair",
    "clip_grad_norm": "deprecated: `clip_grad_norm_`",
    "constant": "deprecated: `constant_`",
    "dirac": "deprecated: `dirac_`",
    "eye": "deprecated: `eye_`",
    "kaiming_normal": "deprecated: `kaiming_normal_`",
    "kaiming_uniform": "deprecated: `kaiming_uniform_`",
    "normal": "deprecated: `normal_`",
    "orthogonal": "deprecated: `orthogonal_`",
    "sparse": "deprecated: `sparse_`",
    "uniform": "deprecated: `uniform_`",
    "xavier_normal": "deprecated: `xavier_normal_`",
    "xavier_uniform": "deprecated: `xavier_uniform_`",
    "skip_init": "initial values cost little; `load_state_dict(..., assign=True)` puts others in their place",
    "prune.PruningContainer": "each method prunes what the ones before have left",
    "parametrize.transfer_parametrizations_and_params": "is for PyTorch's quantisation",
    "rnn.invert_permutation": "`np.argsort`",
    "SparseAdam": "there are no sparse gradients",
    "swap_in_optimizer_params_and_state": "is for PyTorch's compiler",
}

#: Whose arguments differ, and why.
DIFFERENT = {
    "LinearCrossEntropyLoss": "`options` are for PyTorch's chunks; here they are chosen by themselves",
    "NLLLoss2d": "PyTorch's passes all arguments on",
    "linear_cross_entropy": "`options` are for PyTorch's chunks; here they are chosen by themselves",
    "Hardtanh": "`min_value` and `max_value` are deprecated",
    "rnn.PackedSequence": "`batch_sizes` has no default, for there is no meaning without",
    "LogSoftmax": "the axis has a default, the last",
    "Parameter": "a Variable has a name",
    "parametrize.ParametrizationList": "is made by `register_parametrization`",
    "RNNCellBase": "is the base of our own cells",
    "Softmax": "the axis has a default, the last",
    "Softmin": "the axis has a default, the last",
    "gumbel_softmax": "`eps` is deprecated, and without effect",
    "log_softmax": "the axis has a default, the last",
    "softmax": "the axis has a default, the last",
    "softmin": "the axis has a default, the last",
}

#: Calls whose results differ, and why.
OTHERWISE = {
    "CrossMapLRN2d(3)(x(2, 6, 4, 5))": "each channel is divided by the sum over its own neighbours, as by `LocalResponseNorm`; PyTorch, "
    "which does not document this layer, keeps the first channel in all sums",
    "EmbeddingBag(7, 3, scale_grad_by_freq=True)(classes(7, 4, 5))": "each row's gradient is divided by how often its index occurs, "
    "as for `Embedding` and as PyTorch documents; PyTorch divides all but the first by another index's count",
}
